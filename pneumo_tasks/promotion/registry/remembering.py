"""What this machine remembers of a ledger: a champion older than one that was seen here is refused."""

import json
from pathlib import Path

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.registry.anchors import Anchor, check_anchor
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import write_private, written_below
from pneumo_tasks.storage.object_store import ObjectStore


def check_remembered(settings: Settings, store: ObjectStore) -> None:
    """CorruptArtefact where the ledger was cut or the pointer set back since this machine looked last.

    Nothing where PNEUMO_ANCHOR_FILE is not set.
    """
    if settings.anchor_file is None:
        return
    given = _read(settings.anchor_file).get(_place(store))
    if given is None:
        return
    try:
        check_anchor(store, ledger.read_ledger(store), Anchor.parse(given))
    except CorruptArtefact as error:
        error.args = (f"{error} If the bucket was begun anew on purpose, delete {settings.anchor_file}.",)
        raise


def remember(settings: Settings, store: ObjectStore) -> None:
    """Keep the champion's entry, after it was checked."""
    if settings.anchor_file is None:
        return
    pointer, _ = read_pointer(store)
    if pointer is None:
        return
    entry = ledger.read_ledger(store)[pointer.seq - 1]
    kept = _read(settings.anchor_file) | {_place(store): str(Anchor.of(entry))}
    with written_below(settings.anchor_file.parent):
        write_private(settings.anchor_file, json.dumps(kept, indent=1, sort_keys=True))


def _read(path: Path) -> dict[str, str]:
    """Empty where there is no file; CorruptArtefact where it cannot be read: it is no reason to forget."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CorruptArtefact(
            "what this machine remembers cannot be read", where=str(path), found=str(error)[:200]
        ) from None
    return {str(place): str(anchor) for place, anchor in found.items()}


def _place(store: ObjectStore) -> str:
    return f"{store.address['endpoint']} {store.address['bucket']}"
