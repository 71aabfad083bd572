"""Numbered documents that never change, read by sums: a long history must not cost a request an entry.

Each document is an object of its own, written once. Every tenth writer also puts the last ten, hundred or
thousand into one object. A sum that is missing costs reads and never an answer.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

log = logging.getLogger(__name__)

SIZES = (1000, 100, 10)
_THREADS = 16
_NUMBER = re.compile(r"([0-9]{1,9})\.[a-z]+$")


@dataclass(frozen=True)
class Numbered:
    """Where document ``n`` is, and where the sum of ``size`` documents up to ``last`` is.

    ``name`` is what a row of them is called where one is missing.
    """

    name: str
    one: Callable[[int], str]
    many: Callable[[int, int], str]

    def key(self, size: int, last: int) -> str:
        return self.one(last) if size == 1 else self.many(size, last)

    def number(self, key: str) -> int | None:
        """The number of a document by its key; None where the key is not that of a document."""
        return number_of(self.one, key)


def number_of(one: Callable[[int], str], key: str) -> int | None:
    """The number for which ``one`` gives ``key``; None for what lies beside the documents."""
    found = _NUMBER.search(key)
    number = int(found[1]) if found else 0
    return number if number and one(number) == key else None


def last_number(store: ObjectStore, folder: str, one: Callable[[int], str]) -> int:
    """The highest number of a document below ``folder``; 0 before the first."""
    return max((number_of(one, listed.key) or 0 for listed in store.list_objects(folder)), default=0)


def parts_up_to(head: int) -> Iterator[tuple[int, int]]:
    """Sizes and last numbers that cover 1 to ``head``, the largest first."""
    at = 0
    for size in (*SIZES, 1):
        while at + size <= head:
            at += size
            yield size, at


def smaller_parts(size: int, last: int) -> list[tuple[int, int]]:
    """The parts of the next smaller size that a sum is made of."""
    part = max(smaller for smaller in (1, *SIZES) if smaller < size)
    return [(part, at) for at in range(last - size + part, last + 1, part)]


def read_row(store: ObjectStore, numbered: Numbered, folder: str, sums: str) -> list[Any]:
    """Every document of a folder whose sums lie in another one; CorruptArtefact where one is missing."""
    keys = {listed.key for listed in store.list_objects(folder)}
    if len(keys) >= min(SIZES):
        keys |= {listed.key for listed in store.list_objects(sums)}
    return read_numbered(store, numbered, keys)


def read_numbered(store: ObjectStore, numbered: Numbered, keys: Collection[str]) -> list[Any]:
    """Every document, in the order of the numbers.

    ``keys`` is what a listing said; the cost beside it is some thirty objects, however many there are.
    Keys that are no document's are not looked at. CorruptArtefact where a number is missing.
    """
    last = max((numbered.number(key) or 0 for key in keys), default=0)
    wanted: list[tuple[int, str]] = []
    at = 0
    while at < last:
        found = next((size for size in SIZES if numbered.many(size, at + size) in keys), 1)
        if found == 1 and numbered.one(at + 1) not in keys:
            raise CorruptArtefact(
                f"a part of {numbered.name} is missing",
                where=numbered.one(at + 1),
                found=f"number {at + 1} of {last}",
                do="Restore it from a backup. Nothing that depends on it can be said.",
            )
        at += found
        wanted.append((found, numbered.key(found, at)))
    documents = read_many(lambda part: store.read_json(part[1]), wanted, threads=_THREADS)
    return _flat([(size, found) for (size, _), found in zip(wanted, documents, strict=True)])


def sum_up(store: ObjectStore, numbered: Numbered, last: int) -> None:
    """Write the sums that end at ``last``; where a part is missing the parts are read instead, as before."""
    for size in sorted(SIZES):
        if last % size:
            continue
        parts = [(part, numbered.key(part, at)) for part, at in smaller_parts(size, last)]
        try:
            found = read_many(lambda part: (part[0], store.read_json(part[1])), parts, threads=_THREADS)
        except ObjectMissing:
            log.warning("no sum of %d up to %s: a part is missing", size, numbered.one(last))
            return
        store.put_once(numbered.many(size, last), canonical_json(_flat(found)))


def last_document(store: ObjectStore, folder: str, one: Callable[[int], str]) -> tuple[int, Any]:
    """The number and the content of the last document of a folder; (0, None) before the first."""
    seq = last_number(store, folder, one)
    return (seq, store.read_json(one(seq))) if seq else (0, None)


def append_changed(
    store: ObjectStore, folder: str, one: Callable[[int], str], document: dict[str, Any], but: str
) -> dict[str, Any]:
    """Write ``document`` behind the last one, unless the two differ in the field ``but`` alone.

    Returns what the folder ends with: ``document``, the former one, or that of whoever wrote first.
    """
    seq, former = last_document(store, folder, one)
    if former is not None and {**former, but: document[but]} == document:
        return dict(former)
    return dict(json.loads(store.put_once(one(seq + 1), canonical_json(document))))


def _flat(parts: list[tuple[int, Any]]) -> list[Any]:
    return [document for size, found in parts for document in (found if size > 1 else [found])]
