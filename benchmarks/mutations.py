"""Damage for fuzzing: bytes, chunks of a PNG, values of a JSON document; the same of one random state."""

import json
import struct
import zlib
from random import Random
from typing import Any

NUMBERS = (0, 1, -1, 127, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30)
VALUES: tuple[Any, ...] = (
    None, True, "", "\0", "\ud800", "../x", "a" * 5000, "٣", "<b>", "2026-11-27T00:00:00+00:00", 1e308, -0.0,
    float("nan"), float("inf"), [], {}, [[]], {"": None}, *NUMBERS,
)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"
_WORDS = (
    b"\0", b"\xff" * 4, b"-1", b"9" * 40, b'"', b",", b"\n", b"\r", b"\xe2\x80\xae", b"\xff\xfe", b"PK\1\2",
    b"PK\5\6", b"../", b"\\", b"=", b"\xed\xa0\x80",
)  # fmt: skip


def damaged(random: Random, seeds: list[bytes]) -> bytes:
    """One of the seeds with a few faults, more often in its head or at its end than in between."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, 6)):
        edge = min(len(data), random.choice((64, 700, len(data))))
        at = random.randrange(edge + 1) if random.random() < 0.7 else len(data) - random.randrange(edge + 1)
        _hurt(random, data, at, seeds)
    return bytes(data)


def _hurt(random: Random, data: bytearray, at: int, seeds: list[bytes]) -> None:
    kind = random.randrange(8)
    size = random.choice((1, 1, 2, 4, 8, 64))
    if kind == 0:
        data[at : at + size] = random.randbytes(size)
    elif kind == 1:
        del data[at : at + size]
    elif kind == 2:
        data[at:at] = data[at : at + size] * random.choice((1, 2, 50))
    elif kind == 3:
        data[at:at] = random.choice(_WORDS)
    elif kind == 4:
        number = random.choice(NUMBERS) % 2**32
        data[at : at + 4] = struct.pack(random.choice(("<I", ">I")), number)
    elif kind == 5:
        del data[at:]
    elif kind == 6:
        other = random.choice(seeds)
        start = random.randrange(len(other) + 1)
        data[at:at] = other[start : start + 512]
    elif data:
        data[at % len(data)] ^= 1 << random.randrange(8)


def chunks_damaged(random: Random, seeds: list[bytes]) -> bytes:
    """A PNG whose chunks are moved, doubled, changed or made up, each with a sum that is right."""
    chunks = _chunks(random.choice(seeds))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(chunks))
        kind, body = chunks[at]
        choice = random.randrange(6)
        if choice == 0:
            chunks[at] = (kind, damaged(random, [body or b"\0"]))
        elif choice == 1:
            chunks.insert(at, chunks[random.randrange(len(chunks))])
        elif choice == 2 and len(chunks) > 1:
            del chunks[at]
        elif choice == 3:
            made = random.choice(
                (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"PLTE", b"tRNS")
            )
            chunks.insert(at, (made, random.randbytes(random.choice((0, 1, 8, 300)))))
        elif choice == 4:
            made = zlib.compress(b"\0" * random.choice((10, 10**6, 10**7)))
            chunks.insert(at, (random.choice((b"zTXt", b"IDAT", b"iCCP")), b"k\0\0" + made))
        else:
            chunks[at] = (random.choice((b"IHDR", b"IDAT", b"IEND", random.randbytes(4))), body)
    packed = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return PNG + b"".join(packed)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(PNG)
    while at + 8 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def document_damaged(random: Random, seeds: list[bytes]) -> bytes:
    """A JSON document with other values, other names or other depths; now and then bytes that are none."""
    if random.random() < 0.2:
        return damaged(random, seeds)
    document = json.loads(random.choice(seeds))
    for _ in range(random.randint(1, 3)):
        document = _changed(random, document)
    return json.dumps(document).encode()


def _changed(random: Random, node: Any) -> Any:
    if not isinstance(node, dict | list) or not node or random.random() < 0.15:
        return random.choice(VALUES)
    if isinstance(node, list):
        at = random.randrange(len(node))
        return [*node[:at], _changed(random, node[at]), *node[at + 1 :]]
    name = random.choice(sorted(node))
    choice = random.random()
    if choice < 0.15:
        return {key: value for key, value in node.items() if key != name}
    if choice < 0.3:
        return {**node, random.choice(("x", "", name + " ", "__class__")): node[name]}
    return {**node, name: _changed(random, node[name])}
