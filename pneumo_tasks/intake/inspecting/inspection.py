"""Facts about one image file, from one decoding."""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from blake3 import blake3
from PIL import Image

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.dicom import decode_dicom
from pneumo_tasks.films.dicom_files import open_dicom
from pneumo_tasks.films.image_headers import Header, read_header, sniff
from pneumo_tasks.films.imaging import Grey, Limits, Picture, decode_picture
from pneumo_tasks.intake.sent.patients import canonical
from pneumo_tasks.storage.object_store import sha256

Raw = bytes

THUMBNAIL = 32
HASH_BITS = 256
_HASHED = 128  # the pixels a side that the hash looks at; and enough for every other fact of a large film
_HISTOGRAM_ROWS = 375  # every row up to 749; beyond, a sample says as much of a film's greys
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ""},
    "PNG": {".png", ""},
    "DICOM": {".dcm", ".dicom", ".dc3", ".ima", ".img", ""},
}
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")  # archives name DICOM files by their UID

# The mean frontal chest film of the public training set, both labels alike, left and right folded
# together, in standard deviations, on 8 x 8 cells: dark rims, bright middle and belly. Half of it.
_CHEST_LEFT = np.array(
    [
        [-1.1, -0.5, 0.0, 0.9],
        [-1.1, 0.1, 0.4, 0.7],
        [-1.4, 0.3, -0.1, 0.7],
        [-1.6, 0.1, -0.2, 1.0],
        [-1.6, -0.2, 0.0, 1.2],
        [-1.7, -0.4, 0.1, 1.2],
        [-1.7, 0.0, 0.9, 1.4],
        [-1.5, 0.8, 1.4, 1.7],
    ]
)
_CHEST = np.hstack([_CHEST_LEFT, _CHEST_LEFT[:, ::-1]])
_CHEST = (_CHEST - _CHEST.mean()) / _CHEST.std()


@dataclass(frozen=True)
class Facts:
    """What a file is. None where a fact does not apply: pixels that were never decoded have no mean.

    Grey levels are 0-255; ``colour`` is the mean chroma (see ``imaging.Picture``);
    ``chest_likeness`` the correlation with a mean chest film, negative where greys are inverted;
    ``grey_sha256`` is known on the sender's disk alone;
    ``thumbnail`` is a THUMBNAIL x THUMBNAIL uint8 array as bytes, ``phash`` HASH_BITS bits.
    """

    file: str
    key: str
    present: bool = True
    source_fault: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    format: str | None = None
    suffix_fault: str | None = None
    mode: str | None = None
    bits: int | None = None
    width: int | None = None
    height: int | None = None
    pixels: int | None = None
    short_side: int | None = None
    long_side: int | None = None
    decode_error: str | None = None
    pixel_digest: str | None = None
    grey_mean: float | None = None
    grey_deviation: float | None = None
    clipped_share: float | None = None
    colour: float | None = None
    chest_likeness: float | None = None
    grey_sha256: str | None = None
    pseudonym: str | None = None
    former: str | None = None
    issuer: str | None = None
    study: str | None = None
    series: str | None = None
    placeholder: bool | None = None
    dicom_view: str | None = None
    dicom_age_band: str | None = None
    dicom_sex: str | None = None
    dicom_device: str | None = None
    dicom_month: str | None = None
    dicom_laterality: str | None = None
    dicom_priority: str | None = None
    thumbnail: Raw | None = None
    phash: Raw | None = None


@dataclass(frozen=True)
class Inspected:
    """The facts, and the pixels where the file is a DICOM film that has to leave as a plain image."""

    facts: Facts
    film: Grey | None = None


def inspect_bytes(
    file: str,
    key: str,
    data: bytes,
    limits: Limits,
    pseudonym_key: bytes | None = None,
    digest: str | None = None,
) -> Inspected:
    """All facts of one file; never raises on what a file holds. ``digest``: its sha256, where known."""
    kind = sniff(data)
    facts = Facts(
        file,
        key,
        bytes=len(data),
        sha256=digest or sha256(data),
        format=kind,
        suffix_fault=_suffix_fault(kind, PurePosixPath(file)),
    )
    if kind not in _SUFFIXES or len(data) > limits.max_bytes:
        return Inspected(facts)
    try:
        dicom = open_dicom(data, limits.most_inflated) if kind == "DICOM" else None
        header = dicom.header if dicom else read_header(data)
        facts = _with_header(facts, header)
        if _exceeds(limits, len(data), header):
            return Inspected(facts)
        if dicom:
            film = decode_dicom(dicom, pseudonym_key, canonical)
            said = {f"dicom_{name}": value for name, value in vars(film.circumstances).items()}
            facts = replace(facts, dicom_view=film.view, **vars(film.owner), **said)
            height, width = film.grey.shape
            return Inspected(_with_pixels(facts, Picture(film.grey, 0.0, width, height)), film.grey)
        return Inspected(_with_pixels(facts, decode_picture(data, header, _HASHED)))
    except BadData as error:
        return Inspected(replace(facts, decode_error=str(error)))


def _suffix_fault(kind: str, path: PurePosixPath) -> str | None:
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES.get(kind, {suffix}) or (kind == "DICOM" and _UID.fullmatch(path.name)):
        return None
    return f"{kind} named {suffix}"


def _exceeds(limits: Limits, size: int, header: Header) -> bool:
    try:
        limits.check(size, header)
    except BadData:
        return True
    return header.mode == "cmyk"


def _with_header(facts: Facts, header: Header) -> Facts:
    short, long = sorted((header.width, header.height))
    return replace(
        facts,
        mode=header.mode,
        bits=header.bits,
        width=header.width,
        height=header.height,
        pixels=short * long,
        short_side=short,
        long_side=long,
    )


def _with_pixels(facts: Facts, picture: Picture) -> Facts:
    import imagehash

    grey = picture.grey
    image = Image.fromarray(grey)
    step = max(1, grey.shape[0] // _HISTOGRAM_ROWS)
    counts = np.asarray(Image.fromarray(np.ascontiguousarray(grey[::step])).histogram(), float)
    counts /= counts.sum()
    levels = np.arange(256.0)
    mean = float(counts @ levels)
    # A box mean first: the hash needs 64 x 64, and a wide filter over a large film costs as much as decoding.
    middle = image.resize((_HASHED, _HASHED), Image.Resampling.BOX, reducing_gap=2.0)
    small = middle.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    bits = imagehash.phash(middle, hash_size=16).hash
    return replace(
        facts,
        width=picture.width,  # upright
        height=picture.height,
        pixel_digest=pixel_digest(picture),
        grey_mean=mean,
        grey_deviation=float(counts @ (levels - mean) ** 2) ** 0.5,
        clipped_share=float(counts[0] + counts[255]),
        colour=picture.colour,
        chest_likeness=chest_likeness(np.asarray(small)),
        thumbnail=small.tobytes(),
        phash=np.packbits(bits).tobytes(),
    )


def pixel_digest(picture: Picture) -> str:
    """BLAKE3 of the film's size and its pixels: equal for one film in two files.

    Of a film that came as a smaller copy it is that copy's: equal for the same JPEG data under other
    metadata, not for a PNG made of it, which the near-duplicate rule finds.
    """
    digest = blake3(f"{picture.height}x{picture.width}:".encode())
    digest.update(np.ascontiguousarray(picture.grey).data)
    return digest.hexdigest()


def chest_likeness(thumbnail: Grey) -> float:
    """Correlation (-1 to 1) of a THUMBNAIL x THUMBNAIL film with the mean chest film; 0 for a flat one."""
    cells = thumbnail.reshape(8, THUMBNAIL // 8, 8, THUMBNAIL // 8).mean(axis=(1, 3))
    spread = float(cells.std())
    return float((cells * _CHEST).mean()) / spread if spread > 1e-9 else 0.0
