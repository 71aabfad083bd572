"""Files of outcomes in the bucket: somebody puts them there, and the watch imports them."""

import logging

from pneumo_tasks.errors import BadData
from pneumo_tasks.monitoring.outcomes import import_outcomes, parse_outcomes, read_imports
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

_BY = "the bucket: "


def collect_outcomes(store: ObjectStore) -> list[str]:
    """Import every file below ``incoming-outcomes/`` that was not imported yet; returns what is wrong.

    A file that is no table stops no other. A file is imported once: a correction is a file of another name.
    """
    waiting = [listed.key for listed in store.list_objects(layout.OUTCOME_FILES)]
    if not waiting:
        return []
    known = {one.by for one in read_imports(store)}
    faults = []
    for key in sorted(waiting):
        by = f"{_BY}{key.removeprefix(layout.OUTCOME_FILES)}"
        if by in known:
            continue
        try:
            import_outcomes(store, parse_outcomes(store.read(key), key), by)
        except BadData as error:
            log.warning("not imported: %s", error)
            faults.append(str(error))
    return faults
