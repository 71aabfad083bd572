"""What validation decided about a batch: one frozen document, written last."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.intake.records.checks import BatchCheck
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore


class Rejection(BaseModel):
    """One quarantined file: the first rule it broke, its value and the rule's limit, in words."""

    model_config = ConfigDict(frozen=True)

    file: str
    rule: str
    value: str
    limit: str


class Drift(BaseModel):
    """One label: the largest PSI and KS over the facts of its films, each with the fact it is of, the
    adversarial AUC, and the control: the AUC of random accepted patients against the other accepted patients.
    ``coarse_psi`` is the largest PSI over what is stated of films; "" as its fact where none is stated.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    images: int
    known: int
    psi: float
    psi_fact: str
    ks: float
    ks_fact: str
    auc: float
    control: float
    coarse_psi: float = 0.0
    coarse_fact: str = ""


class BatchVerdict(BaseModel):
    """verdict.json of one batch and digest; ``reasons`` is empty unless the state is rejected.

    The films of an ``unlabelled`` batch are good, and wait for their labels: nothing uses them yet.

    ``datasheet`` is the key of the page for the sender, ``drifts`` one figure set a label. ``attempt``
    names the folder of what this validation found; verdicts made before had none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    batch_id: str
    digest: str
    state: Literal["accepted", "rejected", "unlabelled"]
    split: str
    synthetic: bool
    images: int
    accepted: int
    quarantined: int
    reasons: list[str]
    rejected: list[Rejection]
    validated_at: str
    warnings: list[str] = []
    checks: list[BatchCheck] = []
    drifts: list[Drift] = []
    datasheet: str = ""
    attempt: str = ""

    def evidence(self, name: str) -> str:
        """The key of something that this validation wrote before its verdict counted."""
        folder = f"{self.attempt}/" if self.attempt else ""
        return layout.validation(self.batch_id, self.digest, folder + name)


def read_verdict(store: ObjectStore, batch_id: str, digest: str) -> BatchVerdict | None:
    """The stored verdict on exactly this content, or None."""
    try:
        with understood(key := layout.validation(batch_id, digest, "verdict.json")):
            return BatchVerdict.model_validate(store.read_json(key))
    except ObjectMissing:
        return None
