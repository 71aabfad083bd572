"""Worker processes that inspect the files of a batch: each file is downloaded once and decoded once."""

import faulthandler
import io
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from pneumo_tasks.cores import available_cores
from pneumo_tasks.errors import BadData, DiskUnusable, ObjectMissing, WorkerLost
from pneumo_tasks.films.imaging import Grey, Limits, decode_grey
from pneumo_tasks.intake.containers.archives import NOT_SENT, Source
from pneumo_tasks.intake.containers.disk import Disk
from pneumo_tasks.intake.containers.proofs import read_member, read_proven
from pneumo_tasks.intake.inspecting.inspection import Facts, inspect_bytes
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_reader import Fetched, ObjectReader
from pneumo_tasks.storage.object_store import sha256
from pneumo_tasks.storage.work_folders import take_temporary_folder

Progress = Callable[[int, int], None]
Found = list[dict[str, Any]]

_CHUNK = 32
_PRELOADED = ("imagehash", "scipy.fft")  # imported in tasks alone
_FOR_A_BUCKET = ("boto3", "obstore.auth.boto3", "obstore.store")
_DOWNLOADS = 4
_LONGEST_NAME = 250
_PATIENCE = 60.0  # seconds for a file; the limits keep every known kind below one
_REARM = 10.0  # seconds: arming the watchdog for every file would cost more than a small film


@dataclass(frozen=True)
class Assignment:
    """What a worker is told: the settings, and where images that arrived inside others are released to.

    ``on_disk``: the files lie on this machine; then nothing is released, and the grey film that training
    would see is written below ``pixels``, where that is given.
    """

    settings: Settings
    batch_id: str
    digest: str
    patience: float = _PATIENCE
    on_disk: bool = False
    pixels: Path | None = None

    @property
    def secret(self) -> bytes | None:
        key = self.settings.pseudonym_key
        return key.get_secret_value().encode() if key else None


def inspect_files(
    assignment: Assignment, sources: Sequence[Source], on_progress: Progress | None = None
) -> Found:
    """The facts of ``sources`` in their order, as dictionaries (see ``inspection.Facts``).

    Downloading runs ahead of decoding in each worker; memory holds a few files a worker, however
    many there are. A file that kills its worker costs that worker, and is reported as such.
    """
    chunks = [list(sources[at : at + _CHUNK]) for at in range(0, len(sources), _CHUNK)]
    found: dict[str, dict[str, Any]] = {}
    for facts in _inspected(assignment, chunks):
        found.update((str(fact["file"]), fact) for fact in facts)
        if on_progress:
            on_progress(len(found), len(sources))
    return [found[source.file] for source in sources]


def _inspected(assignment: Assignment, chunks: list[list[Source]], alone: bool = False) -> Iterator[Found]:
    broken: list[list[Source]] = []
    with _started(sum(map(len, chunks)), alone, assignment.on_disk) as pool:
        futures = {pool.submit(_inspect_chunk, assignment, chunk): chunk for chunk in chunks}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                broken.append(futures[future])
    for source in (source for chunk in broken for source in chunk):
        if alone:
            yield [vars(Facts(source.file, source.key, decode_error="its decoder crashed or took too long"))]
        else:
            yield from _inspected(assignment, [[source]], alone=True)


def _workers(files: int, alone: bool, on_disk: bool = False) -> ProcessPoolExecutor:
    """Processes always: a file that crashes or hangs its decoder must not take the task with it.

    They are forked from a small server that has imported what they need, once a task. Its socket lies in the
    task's own temporary folder.
    """
    take_temporary_folder()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *_PRELOADED, *(() if on_disk else _FOR_A_BUCKET)])
    needed = 1 if alone else min(available_cores(), -(-files // _CHUNK)) or 1
    return ProcessPoolExecutor(needed, context, initializer=_settle, initargs=(dict(os.environ),))


def _started(files: int, alone: bool, on_disk: bool) -> ProcessPoolExecutor:
    """The processes, one of which has answered: one that cannot even start says nothing about any file."""
    try:
        pool = _workers(files, alone, on_disk)
        pool.submit(os.getpid).result()
    except (BrokenProcessPool, OSError) as error:  # OSError: the server that forks them did not start either
        raise WorkerLost(
            "the processes that decode images do not start",
            where=sys.executable,
            found=str(error)[:200],
            do="Read the traceback in front of this line, and look at the worker's memory, its limit of "
            "processes, and whether this user may run that interpreter.",
        ) from error
    return pool


def _settle(environment: dict[str, str]) -> None:
    """The fork server remembers the environment it was started in; credentials may be newer."""
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_the_task, daemon=True).start()


def _end_with_the_task() -> None:
    """A task that was killed says nothing to its decoders: they see its end of a pipe close."""
    if task := multiprocessing.parent_process():
        task.join()
        os._exit(1)


class _Clock:
    """Ends the process when decoding takes too long; waiting for the store is never counted."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.armed: float | None = None

    def start(self) -> None:
        if self.armed is None or time.monotonic() - self.armed >= _REARM:
            self.armed = time.monotonic()
            faulthandler.dump_traceback_later(self.patience, exit=True)

    def stop(self) -> None:
        self.armed = None
        faulthandler.cancel_dump_traceback_later()


def _inspect_chunk(assignment: Assignment, chunk: list[Source]) -> Found:
    reader = Disk() if assignment.on_disk else _reader_of_process(assignment.settings)
    most = assignment.settings.max_image_bytes
    facts: Found = []
    clock = _Clock(assignment.patience)
    try:
        with ThreadPoolExecutor(_DOWNLOADS) as downloads:
            ahead = deque(downloads.submit(_fetch, reader, source, most) for source in chunk[:_DOWNLOADS])
            for at, source in enumerate(chunk, start=_DOWNLOADS):
                arriving = ahead.popleft()
                if not arriving.done():
                    clock.stop()
                fetched = arriving.result()
                ahead.extend(downloads.submit(_fetch, reader, source, most) for source in chunk[at : at + 1])
                clock.start()
                found, released = _inspect(assignment, source, fetched)
                if released is not None and isinstance(reader, ObjectReader):
                    clock.stop()
                    reader.store.put(found.key, released, f"image/{found.key.rsplit('.', 1)[-1]}")
                facts.append(vars(found))
    finally:
        clock.stop()
    return facts


def _fetch(reader: ObjectReader | Disk, source: Source, most: int) -> Fetched | Facts:
    """The bytes, or the facts of a file that has none; of an oversized object only one byte too many.

    StorageUnavailable where the bytes of an object are not proven to be those that were sent.
    """
    if source.fault == NOT_SENT:
        return Facts(source.file, source.key, present=False)
    if source.fault:
        return Facts(source.file, source.key, source_fault=source.fault)
    try:
        if source.offset is None and source.size > most:
            return Facts(source.file, source.key, bytes=source.size)
        if isinstance(reader, ObjectReader) and source.offset is None:
            return read_proven(reader, source)
        files = reader.store if isinstance(reader, ObjectReader) else reader
        body = files.read(source.key) if source.offset is None else read_member(files, source, most)
        return Fetched(body, sha256(body))
    except ObjectMissing:
        return Facts(source.file, source.key, present=False)
    except BadData as error:
        return Facts(source.file, source.key, source_fault=str(error))


def _inspect(assignment: Assignment, source: Source, fetched: Fetched | Facts) -> tuple[Facts, bytes | None]:
    """The facts, and the bytes to release under ``key`` where the film came inside another file."""
    if isinstance(fetched, Facts):
        return fetched, None
    data = fetched.body
    settings = assignment.settings
    limits = Limits.of(settings)
    inspected = inspect_bytes(source.file, source.key, data, limits, assignment.secret, fetched.sha256)
    facts = inspected.facts
    if assignment.on_disk and facts.pixel_digest is not None:
        grey = decode_grey(data, limits) if inspected.film is None else inspected.film
        facts = replace(facts, grey_sha256=sha256(grey.tobytes()))
        if assignment.pixels:
            _show(assignment.pixels, source.file, grey)
    if facts.pixel_digest is None or (inspected.film is None and source.offset is None):
        return facts, None
    released = data if inspected.film is None else _as_png(inspected.film)
    suffix = "jpeg" if facts.format == "JPEG" else "png"
    key = layout.released_image(assignment.batch_id, assignment.digest, f"{sha256(released)}.{suffix}")
    return replace(facts, key=key, sha256=sha256(released), bytes=len(released)), released


def _show(folder: Path, file: str, grey: Grey) -> None:
    """Write the film as ``<folder>/<file>.png``; a name that a disk does not take becomes its digest."""
    path = folder / f"{file}.png"
    if max(len(os.fsencode(part)) for part in path.parts) > _LONGEST_NAME:
        path = folder / f"{sha256(file.encode())}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_as_png(grey))
    except OSError as error:
        raise DiskUnusable("a film cannot be written", where=str(path), found=str(error.strerror)) from None


def _as_png(grey: Grey) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _reader_of_process(settings: Settings) -> ObjectReader:
    return ObjectReader.connect(settings)
