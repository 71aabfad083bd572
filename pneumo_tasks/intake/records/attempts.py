"""How often the validation of a batch was begun: what kills its process each time must not do so for ever."""

import uuid
from collections import Counter
from contextlib import suppress

from pneumo_tasks.errors import PneumoError
from pneumo_tasks.journal import now
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

MOST_TRIES = 3
_EXCUSED = "excused-"


def begin(store: ObjectStore, batch_id: str) -> None:
    store.put_json(layout.validation_begun(batch_id, uuid.uuid4().hex), {"at": now()})


def excuse(store: ObjectStore, batch_id: str) -> None:
    """One of the tries does not count: it ended for a reason that is not the batch's."""
    with suppress(PneumoError):  # the store may be what is away
        store.put_json(layout.validation_begun(batch_id, f"{_EXCUSED}{uuid.uuid4().hex}"), {"at": now()})


def all_begun(store: ObjectStore, batch_id: str = "") -> Counter[str]:
    """Tries that count, by batch; of one batch where it is named."""
    found: Counter[str] = Counter()
    prefix = f"{layout.VALIDATIONS_BEGUN}{batch_id}/" if batch_id else layout.VALIDATIONS_BEGUN
    for listed in store.list_objects(prefix):
        name, _, attempt = listed.key.removeprefix(layout.VALIDATIONS_BEGUN).partition("/")
        found[name] += -1 if attempt.startswith(_EXCUSED) else 1
    return found


def begun(store: ObjectStore, batch_id: str) -> int:
    return all_begun(store, batch_id)[batch_id]
