"""Facts about image files: each file is downloaded once, decoded once, in worker processes."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from types import ModuleType

import numpy as np
from PIL import Image

from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.image_headers import read_header, sniff
from pneumo_tasks.imaging import Grey, Limits, decode_picture
from pneumo_tasks.object_store import ObjectStore, sha256
from pneumo_tasks.settings import Settings

Progress = Callable[[int, int], None]

Raw = bytes

THUMBNAIL = 32
_CHUNK = 32
_IN_PROCESS = 32  # fewer files than this are not worth starting a process for
_DOWNLOADS = 4
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ""},
    "PNG": {".png", ""},
    "DICOM": {".dcm", ".dicom", ".ima", ""},
}


@dataclass(frozen=True)
class Facts:
    """What a file is. None where a fact does not apply: pixels that were never decoded have no mean.

    Grey levels are 0-255; ``colour`` is the mean chroma (see ``imaging.Picture``); ``thumbnail``
    is a THUMBNAIL x THUMBNAIL uint8 array as bytes.
    """

    file: str
    present: bool = True
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
    pixel_sha256: str | None = None
    grey_mean: float | None = None
    grey_deviation: float | None = None
    colour: float | None = None
    thumbnail: Raw | None = None


def inspect_bytes(file: str, data: bytes, limits: Limits) -> Facts:
    """All facts of one file; never raises on what a file holds."""
    kind = sniff(data)
    suffix = PurePosixPath(file).suffix.lower()
    fault = None if suffix in _SUFFIXES.get(kind, {suffix}) else f"{kind} named {suffix}"
    known = {
        "bytes": len(data),
        "sha256": sha256(data),
        "format": kind,
        "suffix_fault": fault,
    }
    if kind not in _SUFFIXES or len(data) > limits.max_bytes:
        return Facts(file, **known)  # type: ignore[arg-type]
    try:
        header = read_header(data)
    except BadData as error:
        return Facts(file, **known, decode_error=str(error))  # type: ignore[arg-type]
    sides = sorted((header.width, header.height))
    known |= {
        "mode": header.mode,
        "bits": header.bits,
        "width": header.width,
        "height": header.height,
        "pixels": sides[0] * sides[1],
        "short_side": sides[0],
        "long_side": sides[1],
    }
    try:
        limits.check(len(data), header)
    except BadData:
        return Facts(file, **known)  # type: ignore[arg-type]
    try:
        picture = decode_picture(data, header)
    except BadData as error:
        return Facts(file, **known, decode_error=str(error))  # type: ignore[arg-type]
    known |= _grey_facts(picture.grey)
    known["height"], known["width"] = picture.grey.shape  # upright
    return Facts(file, **known, colour=picture.colour)  # type: ignore[arg-type]


def _grey_facts(grey: Grey) -> dict[str, object]:
    image = Image.fromarray(grey)
    counts = np.asarray(image.histogram(), float)
    levels = np.arange(256.0)
    mean = float(counts @ levels / grey.size)
    variance = float(counts @ (levels - mean) ** 2 / grey.size)
    small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX, reducing_gap=2.0)
    return {
        "pixel_sha256": pixel_digest(grey),
        "grey_mean": mean,
        "grey_deviation": variance**0.5,
        "thumbnail": small.tobytes(),
    }


def pixel_digest(grey: Grey) -> str:
    """sha256 of the shape and the pixels: equal for one film in two containers."""
    return sha256(f"{grey.shape[0]}x{grey.shape[1]}:".encode() + grey.tobytes())


def inspect_files(
    settings: Settings,
    store: ObjectStore,
    files: Sequence[tuple[str, str]],
    on_progress: Progress | None = None,
) -> list[dict[str, object]]:
    """The facts of ``files``, pairs of (file, bucket key), in their order.

    Downloading runs ahead of decoding in each worker; memory holds a few files a worker,
    however many there are.
    """
    chunks = [list(files[at : at + _CHUNK]) for at in range(0, len(files), _CHUNK)]
    found: dict[str, dict[str, object]] = {}
    with _workers(len(files)) as pool:
        in_process = isinstance(pool, ThreadPoolExecutor)
        for facts in _run(pool, settings, store if in_process else None, chunks):
            found.update((str(fact["file"]), fact) for fact in facts)
            if on_progress:
                on_progress(len(found), len(files))
    return [found[file] for file, _ in files]


def _workers(files: int) -> Executor:
    if files <= _IN_PROCESS:
        return ThreadPoolExecutor(1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn"))


def _run(
    pool: Executor, settings: Settings, store: ObjectStore | None, chunks: list[list[tuple[str, str]]]
) -> Iterator[list[dict[str, object]]]:
    with _bare_main():  # the first submit starts the processes
        futures = [pool.submit(_inspect_chunk, settings, store, chunk) for chunk in chunks]
    for future in as_completed(futures):
        yield future.result()


@contextmanager
def _bare_main() -> Iterator[None]:
    """Keep spawned processes from running the caller's main module again: in a task it is Airflow's own,
    which opens its database and fails."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _inspect_chunk(
    settings: Settings, store: ObjectStore | None, chunk: list[tuple[str, str]]
) -> list[dict[str, object]]:
    limits = Limits.of(settings)
    store = store or _store_of_process(settings)

    def fetch(key: str) -> bytes | None:
        try:
            return store.read(key)
        except ObjectMissing:
            return None

    facts: list[dict[str, object]] = []
    with ThreadPoolExecutor(_DOWNLOADS) as downloads:
        ahead = deque(downloads.submit(fetch, key) for _, key in chunk[:_DOWNLOADS])
        for at, (file, _) in enumerate(chunk, start=_DOWNLOADS):
            data = ahead.popleft().result()
            ahead.extend(downloads.submit(fetch, key) for _, key in chunk[at : at + 1])
            found = Facts(file, present=False) if data is None else inspect_bytes(file, data, limits)
            facts.append(asdict(found))
    return facts


@lru_cache(maxsize=1)
def _store_of_process(settings: Settings) -> ObjectStore:
    return ObjectStore.connect(settings)
