"""Films: the images of a snapshot, fetched, checked and decoded ahead of the computation."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.imaging import Grey, Limits, decode_grey
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore, sha256

READERS = 8  # threads that fetch and decode while the cores compute


def read_image(settings: Settings, store: ObjectStore, key: str, digest: str) -> Grey:
    """Fetch and decode one image of a snapshot; BadData where its bytes changed since."""
    body = store.read(key)
    if sha256(body) != digest:
        raise BadData(
            "an image changed after it was accepted",
            where=key,
            found=f"sha256 {sha256(body)}, accepted as {digest}",
            do="Batches are immutable: restore the object, or withdraw the image.",
        )
    return decode_grey(body, Limits.of(settings))


def read_films(
    settings: Settings, store: ObjectStore, rows: pd.DataFrame, batch: int
) -> Iterator[list[Grey]]:
    """Decoded images in row order, ``batch`` at a time; the next ones are fetched meanwhile."""
    wanted = list(zip(rows["key"], rows["sha256"], strict=True))

    def fetch(pair: tuple[str, str]) -> Grey:
        return read_image(settings, store, *pair)

    with ThreadPoolExecutor(1) as ahead:

        def submit(start: int) -> Future[list[Grey]]:
            return ahead.submit(read_many, fetch, wanted[start : start + batch], threads=READERS)

        pending = submit(0)
        for start in range(0, len(wanted), batch):
            following = submit(start + batch)
            yield pending.result()
            pending = following


def by_size(
    ask: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: list[Grey]
) -> NDArray[np.float32]:
    """What ``ask`` says about each image, uint8 (H, W); those of one size go through together."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    answers: list[NDArray[np.float32] | None] = [None] * len(images)
    for indices in by_shape.values():
        batch = np.stack([images[i] for i in indices])[..., None]
        for index, answer in zip(indices, ask(batch), strict=True):
            answers[index] = answer
    return np.stack([answer for answer in answers if answer is not None])
