"""A copy of the ledger in one object, so that reading hundreds of entries is not hundreds of requests.

It is derived and holds nothing of its own: an entry is taken from it only where the store still lists
that entry with the etag it was copied with, and the chain of digests, whose last link is always read
itself, must hold. Without a copy, or with one that does not fit, the entries are read one by one.
"""

import json
import logging
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from pneumo_tasks.errors import ObjectMissing, PneumoError
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

_THREADS = 16
_BEHIND = 10

# What this process read already, by the key and the etag it had then.
_read: "WeakKeyDictionary[ObjectStore, dict[tuple[str, str], bytes]]" = WeakKeyDictionary()


def read_entries(store: ObjectStore, places: list[tuple[str, str]], copied: bool = True) -> list[bytes]:
    """The bytes of the entries at ``places`` (key and etag), in that order; the last is read itself.

    With ``copied`` what was read before, and the copy in the bucket, stand in for the entries.
    """
    known = dict(_read.get(store, {})) if copied else {}
    missing = [place for place in places[:-1] if place not in known]
    if copied and len(missing) > _BEHIND:
        known |= _copy(store)
    wanted = [place for place in places[:-1] if place not in known or not place[1]] + places[-1:]
    read = read_many(lambda place: store.read(place[0]), wanted, threads=_THREADS)
    known |= zip(wanted, read, strict=True)
    bodies = [known[place] for place in places]
    _read[store] = dict(zip(places, bodies, strict=True))
    return bodies


def forget(store: ObjectStore) -> None:
    """Read everything anew the next time."""
    _read.pop(store, None)


def keep_copy(store: ObjectStore) -> bool:
    """Write the copy again where it lacks ten entries or more; tells whether it did.

    Nobody waits for a copy: a store that does not take it now gets it with the next entry.
    """
    known = _read.get(store, {})
    try:
        if len(known) < _BEHIND or len(known.keys() - _copy(store).keys()) < _BEHIND:
            return False
        document = [[key, etag, body.decode()] for (key, etag), body in sorted(known.items()) if etag]
        store.put_json(layout.LEDGER_COPY, document)
    except PneumoError as error:
        log.warning("the ledger was not copied: %s", error)
        return False
    return True


def _copy(store: ObjectStore) -> dict[tuple[str, str], bytes]:
    try:
        document: Iterable[list[str]] = json.loads(store.read(layout.LEDGER_COPY))
        return {(key, etag): body.encode() for key, etag, body in document}
    except ObjectMissing:
        return {}
    except (PneumoError, ValueError, TypeError, AttributeError) as error:
        log.warning("the copy of the ledger cannot be read, so its entries are: %s", error)
        return {}
