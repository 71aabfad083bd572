"""The table of unseen films: what a model said of each before anybody trained on its patient.

``unseen/<model sha256>/<batch>/<sha256>.parquet`` is written once; its name is the digest that it is checked
by. Labels are those of that day: what is known of a film today comes from the accepted batches.
"""

import io
from collections.abc import Callable, Iterable

import pandas as pd

from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore, sha256

# ``seen``: left out, without a probability. ``source``: kept features, or the film itself.
COLUMNS = (
    *("sha256", "patient", "label", "label_at", "site", "batch_id"),
    *("seen", "probability", "source", "scored_at"),
)


Place = Callable[[str, str, str], str]  # of a part: the model's digest, the batch, the part's own digest


def scored_batches(store: ObjectStore, model_sha256: str, place: Place = layout.unseen_scores) -> set[str]:
    """The batches that the model's table has a part of; one listing."""
    return set(_parts(store, model_sha256, place))


def write_part(
    store: ObjectStore,
    model_sha256: str,
    batch_id: str,
    rows: pd.DataFrame,
    place: Place = layout.unseen_scores,
) -> None:
    """Add the films of one batch to the model's table; where it has them already, nothing changes."""
    if batch_id in scored_batches(store, model_sha256, place):
        return
    body = rows[list(COLUMNS)].to_parquet(index=False)
    key = place(model_sha256, batch_id, sha256(body))
    store.put_once(key, body, "application/octet-stream")


def read_table(store: ObjectStore, model_sha256: str, place: Place = layout.unseen_scores) -> pd.DataFrame:
    """All parts, each digest checked; empty with COLUMNS where the model has met no unseen film.

    Of two parts of one batch, which two runs at once may leave, the first by its digest counts.
    """
    parts = _parts(store, model_sha256, place)
    bodies = read_many(lambda part: store.read_verified(*part), list(parts.values()))
    return joined(pd.read_parquet(io.BytesIO(body)) for body in bodies)


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """One frame of many, a film once: the part that came first counts."""
    frames = [part for part in parts if len(part)]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    return pd.concat(frames, ignore_index=True).drop_duplicates("sha256", ignore_index=True)


def _parts(store: ObjectStore, model_sha256: str, place: Place) -> dict[str, tuple[str, str]]:
    """By batch: the key of its part, and the digest that the key says."""
    found: dict[str, tuple[str, str]] = {}
    folder = place(model_sha256, "", "")
    for listed in store.list_objects(folder):
        batch_id, _, name = listed.key.removeprefix(folder).partition("/")
        found.setdefault(batch_id, (listed.key, name.removesuffix(".parquet")))
    return found
