"""Every look at a test set is an object in the bucket: a test set that is asked often wears out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.errors import ConditionFailed
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

Role = Literal["candidate", "champion"]


class Look(BaseModel):
    """One model measured on one version of the test set, on behalf of one run."""

    model_config = ConfigDict(frozen=True)

    test_set_id: str
    run_id: str
    role: Role
    sha256: str
    at: str


def record_look(store: ObjectStore, test_set_id: str, run_id: str, role: Role, sha256: str) -> None:
    """Write the look before the scores are computed; a retry of the same run is the same look."""
    look = Look(test_set_id=test_set_id, run_id=run_id, role=role, sha256=sha256, at=journal.now())
    key = layout.test_set_look(test_set_id, f"{layout.run_key(run_id)[:150]}.{role}.{sha256[:12]}")
    try:
        store.put_if_absent(key, canonical_json(look.model_dump()))
    except ConditionFailed:
        return


def count_looks(store: ObjectStore, test_set_id: str, role: Role = "candidate") -> int:
    """How many candidates (or champions) this version of the test set has judged."""
    folder = layout.test_set_look(test_set_id, "x").removesuffix("x.json")
    return sum(f".{role}." in listed.key for listed in store.list_objects(folder))
