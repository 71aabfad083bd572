"""Every look at a test set is an object in the bucket: films that are asked often wear out.

Looks are counted a film, not a version of the test set: a test set that grows by a patient a week is new
every week, and its films are not.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json
from pneumo_tasks.storage.object_store import sha256 as digest

log = logging.getLogger(__name__)

Role = Literal["candidate", "champion"]

_THREADS = 16
_LONG = 150


class Look(BaseModel):
    """One model measured on one version of the test set, on behalf of one run."""

    model_config = ConfigDict(frozen=True)

    test_set_id: str
    run_id: str
    role: Role
    sha256: str
    at: str


class Exposure(BaseModel):
    """How many candidates the films of a test set have judged, in whatever version they were asked."""

    model_config = ConfigDict(frozen=True)

    films: int
    median: float
    most: int


def record_look(store: ObjectStore, test_set_id: str, run_id: str, role: Role, sha256: str) -> None:
    """Write the look before the scores are computed; a retry of the same run is the same look."""
    look = Look(test_set_id=test_set_id, run_id=run_id, role=role, sha256=sha256, at=journal.now())
    key = layout.run_key(run_id)
    name = key if len(key) <= _LONG else digest(run_id.encode())
    store.put_once(
        layout.test_set_look(test_set_id, f"{name}.{role}.{sha256[:12]}"), canonical_json(look.model_dump())
    )


def record_films(store: ObjectStore, test_set_id: str, films: Iterable[str]) -> None:
    """Write once which films (by sha256) a version of the test set holds."""
    lines = "".join(f"{film}\n" for film in sorted(set(films)))
    store.put_once(layout.test_set_films(test_set_id), lines.encode(), "text/plain")


def count_looks(store: ObjectStore, test_set_id: str, role: Role = "candidate") -> int:
    """How many candidates (or champions) this version of the test set has judged."""
    folder = layout.test_set_look(test_set_id, "x").removesuffix("x.json")
    return sum(f".{role}." in listed.key for listed in store.list_objects(folder))


def measure_exposure(store: ObjectStore, test_set_id: str) -> Exposure:
    """How often each film of ``test_set_id`` was asked: one listing, and one read each test set.

    A look whose films are not on record, and cannot be found out, counts for every film.
    """
    looks: Counter[str] = Counter()
    one: dict[str, str] = {}
    for listed in store.list_objects(layout.TEST_SETS):
        looked, _, name = listed.key.removeprefix(layout.TEST_SETS).partition("/looks/")
        if ".candidate." in name:
            looks[looked] += 1
            one[looked] = listed.key
    asked = list(dict.fromkeys([test_set_id, *looks]))
    found = read_many(lambda name: _films(store, name, one.get(name)), asked, threads=_THREADS)
    sets = dict(zip(asked, found, strict=True))
    times = Counter(dict.fromkeys(sets[test_set_id] or (), 0))
    for looked, number in looks.items():
        for film in times.keys() if sets[looked] is None else times.keys() & (sets[looked] or set()):
            times[film] += number
    counted = times.values() or [looks[test_set_id]]
    return Exposure(films=len(times), median=median(counted), most=max(counted))


def _films(store: ObjectStore, test_set_id: str, look: str | None) -> set[str] | None:
    """The films of a test set; of one that an older release asked, from the scores of a run that did."""
    try:
        return set(store.read(layout.test_set_films(test_set_id)).decode().split())
    except ObjectMissing:
        pass
    try:
        films = set(_scored(store, _read_look(store, look).run_id)) if look else None
    except ObjectMissing:
        films = None
    if films is None:
        log.warning("the films of test set %s are not on record: its looks count for every film", test_set_id)
    else:
        record_films(store, test_set_id, films)
    return films


def _read_look(store: ObjectStore, key: str) -> Look:
    with understood(key):
        return Look.model_validate(store.read_json(key))


def _scored(store: ObjectStore, run_id: str) -> list[str]:
    import io

    import pandas as pd

    body = store.read(layout.run(run_id, "test_scores.parquet"))
    return pd.read_parquet(io.BytesIO(body), columns=["sha256"])["sha256"].tolist()
