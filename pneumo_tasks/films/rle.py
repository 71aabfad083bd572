"""RLE: whether a run-length encoded frame of a DICOM film unpacks to its own size, before it is decoded.

A run of two bytes stands for 128 bytes, so a small file may claim gigabytes (PS3.5 G).
"""

import struct

from pneumo_tasks.errors import BadData

_HEADER = 64


def check_rle(frame: bytes, pixels: int, segments: int) -> None:
    """Raise BadData unless each segment of ``frame`` unpacks to one byte of every pixel, padding aside."""
    if len(frame) < _HEADER:
        raise BadData("damaged compressed pixels", found=f"{len(frame)} bytes, a header has {_HEADER}")
    count, *offsets = struct.unpack("<16I", frame[:_HEADER])
    if count != segments:
        raise BadData("damaged compressed pixels", found=f"{count} segments, expected {segments}")
    starts = offsets[:count]
    ends = [*starts[1:], len(frame)]
    for start, end in zip(starts, ends, strict=True):
        if not _HEADER <= start <= end <= len(frame):
            raise BadData("damaged compressed pixels", found="segments that overlap")
        found = _unpacked_bytes(frame[start:end], pixels)
        if not pixels <= found <= pixels + 1:
            raise BadData("pixels missing or too many", found=f"{found} bytes for {pixels}")


def _unpacked_bytes(segment: bytes, most: int) -> int:
    """How many bytes a segment unpacks to; counting stops where they exceed ``most`` by more than one."""
    at = found = 0
    while at < len(segment) and found <= most + 1:
        control = segment[at]
        if control < 128:
            found += min(control + 1, len(segment) - at - 1)
            at += control + 2
        elif control > 128:
            found += 257 - control
            at += 2
        else:
            at += 1
    return found
