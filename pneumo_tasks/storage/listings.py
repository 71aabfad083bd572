"""Listings that two answers agree on: a listing has no digest, so one answer proves nothing."""

import time
from collections.abc import Callable, Hashable
from typing import TypeVar

from pneumo_tasks.errors import StorageUnavailable

Found = TypeVar("Found")

_ASKED = 6  # times at most
_PAUSE = 0.1  # seconds before the third listing, doubled before each further one


def agreed(ask: Callable[[], list[Found]], fact: Callable[[Found], Hashable], where: str) -> list[Found]:
    """The answer of ``ask`` that holds all facts of the answer before it.

    What only the later one holds was written in between. What only the earlier one holds was changed or
    deleted in between, or never was there: then both are asked for again. StorageUnavailable where no answer
    confirms another.
    """
    before = ask()
    for number in range(1, _ASKED):
        if number > 1:
            time.sleep(_PAUSE * 2 ** (number - 2))
        found = ask()
        if {fact(one) for one in before} <= {fact(one) for one in found}:
            return found
        before = found
    raise StorageUnavailable(
        "no two listings agree",
        where=where,
        found=f"{_ASKED} listings; the last holds {len(before)}",
        do="Look at what stands between this machine and the object store, then try again.",
    )
