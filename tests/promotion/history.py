"""A history of a bucket: batches, withdrawals, assemblies, runs and their late twins in any order.

The intake's rules on films are left out, so that assembly and gate are met by more than they let in.
"""

import io
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from pneumo_tasks.dataset import snapshots
from pneumo_tasks.errors import BadData, PromotionRefused
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.evaluation.serving import ServingCheck, remember
from pneumo_tasks.intake.records.catalogue import open_catalogue, take_place
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import Batch
from pneumo_tasks.intake.sent.patients import from_column
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import champion_ref, read_champion
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from tests.evaluation.story import SERVED, Story, film

Result = TypeVar("Result")

_WIDE = {ord("0") + digit: ord("\uff10") + digit for digit in range(10)}
SPELLINGS: tuple[Callable[[int], str], ...] = (
    str, lambda n: f"00{n}", lambda n: f" {n} ", lambda n: str(n).translate(_WIDE),
)  # fmt: skip


# Limits that let a small test set promote; the environment sets them, for no run may loosen the protocol.
PERMISSIVE = {
    "PNEUMO_RESAMPLES": "100", "PNEUMO_REPORT_IMAGES": "false", "PNEUMO_MIN_TEST_PATIENTS": "2",
    "PNEUMO_MIN_RECALL": "0.3", "PNEUMO_MIN_PRECISION": "0.3", "PNEUMO_MIN_AUC": "0.3", "PNEUMO_FOLDS": "2",
    "PNEUMO_RECALL_MARGIN": "0.9", "PNEUMO_PRECISION_MARGIN": "0.9", "PNEUMO_ORIGINAL_RECALL_MARGIN": "0.9",
    "PNEUMO_ORIGINAL_PRECISION_MARGIN": "0.9", "PNEUMO_MAX_OCCLUSION_SHIFT": "0.9", "PNEUMO_FREE_STEP": "0.9",
}  # fmt: skip


def in_a_new_bucket(settings: Settings) -> Settings:
    return settings.model_copy(update={"bucket": f"history-{uuid.uuid4().hex[:10]}"})


def discard(store: ObjectStore) -> None:
    """Delete the bucket with all that is in it."""
    for listed in list(store.list_objects("")):
        store.delete(listed.key)
    store.client.delete_bucket(Bucket=store.bucket)


class Trainer(Story):
    """Leaves behind what training leaves; the films and snapshots are those of the history."""

    def __post_init__(self) -> None:
        self.rows = pd.DataFrame()


@dataclass
class History:
    """``store`` is where the history is made up and looked at, ``way`` what the product goes through."""

    settings: Settings
    store: ObjectStore
    way: ObjectStore
    trainer: Trainer
    batches: list[tuple[str, list[str], str]] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)
    made: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    runs: int = 0
    evidence: dict[str, bytes] = field(default_factory=dict)

    def do(self, act: Callable[[], Result]) -> Result:
        """One act of the product; who plays with faults tries it again, as a scheduler would."""
        return act()

    def play(self, operations: Sequence[tuple[Any, ...]]) -> None:
        """Two batches and a snapshot, then the operations, then one more snapshot and run."""
        self.send(list(range(12)), 0, "train", 0)
        self.send(list(range(12, 18)), 0, "test", 0)
        self.assemble(1)
        assert self.made
        acts: dict[str, Callable[..., None]] = {
            "send": self.send, "resend": self.resend, "withdraw": self.withdraw, "settings": self.change,
            "assemble": self.assemble, "run": self.run, "twin": lambda model: self.run(model, twin=True),
        }  # fmt: skip
        for name, *given_to in operations:
            acts[name](*given_to)
        self.assemble(2)
        self.run("good")

    def send(
        self, patients: list[int], spelling: int, split: str, number: int, replaces: list[str] | None = None
    ) -> None:
        name, spell = f"b{len(self.batches)}", SPELLINGS[spelling]
        rows = [self._film(name, spell(patient), patient, number) for patient in patients]
        clock = f"{(len(self.batches) * 7919) % 50:04d}"  # the senders' clocks are in no order
        batch = Batch(
            batch_id=name, created_at=clock, images=len(rows), images_csv_sha256="", split=split,
            replaces=replaces or [], synthetic=True,
        )  # fmt: skip
        verdict = BatchVerdict(
            batch_id=name, digest="d", state="accepted", split=split, synthetic=True, images=len(rows),
            accepted=len(rows), quarantined=0, reasons=[], rejected=[], validated_at=clock,
        )  # fmt: skip
        body = io.BytesIO()
        pd.DataFrame(rows).to_parquet(body)
        self.store.put(layout.batch_manifest(name), canonical_json(batch.model_dump(mode="json")))
        self.store.put(verdict.evidence("facts.parquet"), body.getvalue())
        self.do(lambda: take_place(self.way, open_catalogue(self.way), batch, verdict))
        self.batches.append((name, replaces or [], split))

    def _film(self, batch_id: str, patient_id: str, patient: int, number: int) -> dict[str, object]:
        positive, random = patient % 2 == 1, np.random.default_rng([patient, number])
        top = (0.7 if positive else 0.3) + random.uniform(-0.1, 0.1)
        body = film(top, random.uniform(0.1, 0.9), 70 + patient, 80 + number)
        key = layout.incoming(batch_id, f"{patient}-{number}.png")
        self.store.put(key, body)
        identity, digest = from_column(patient_id), sha256(body)
        return {
            "file": f"{patient}-{number}.png", "key": key, "label": "PNEUMONIA" if positive else "NORMAL",
            "patient": str(identity), "patient_id": patient_id, "family": "patient", "sha256": digest,
            "pixel_digest": digest[::-1], "width": 80 + number, "height": 70 + patient, "bytes": len(body),
            "grey_mean": 255 * top, "grey_deviation": 30.0, "clipped_share": 0.0, "phash": None, "rule": None,
            "thumbnail": None,
        }  # fmt: skip

    def resend(self, index: int, patients: list[int], spelling: int, number: int) -> None:
        name, replaces, split = self.batches[index % len(self.batches)]
        self.send(patients, spelling, split, number, [*replaces, name])

    def withdraw(self, index: int) -> None:
        name = self.batches[index % len(self.batches)][0]
        self.do(lambda: withdraw_batch(self.way, name, "a person", "consent"))
        self.withdrawn.add(name)

    def change(self, share: float, folds: int, salt: str) -> None:
        self.settings = self.settings.model_copy(
            update={"test_share": share, "folds": folds, "split_salt": salt or "pneumo"}
        )

    def assemble(self, at_once: int) -> None:
        """Some schedulers at the same moment; without both classes in each split there is no snapshot."""

        def once(_: int) -> str | None:
            with suppress(BadData):
                store = ObjectStore.connect(self.settings)
                found = self.do(lambda: snapshots.assemble_dataset(self.settings, store))
                return found.snapshot_id if found else None
            return None

        with ThreadPoolExecutor(at_once) as pool:
            found = set(pool.map(once, range(at_once)))
        assert len(found) == 1, "assemblies at the same moment disagree"
        self.made += [(snapshot_id, frozenset(self.out())) for snapshot_id in found if snapshot_id]

    def out(self) -> set[str]:
        """The withdrawn batches, and all that are joined to one by corrections."""
        found = set(self.withdrawn)
        while True:
            more = {n for n, olds, _ in self.batches if n in found or found & set(olds)}
            more |= {old for n, olds, _ in self.batches if n in found for old in olds}
            if more <= found:
                return found
            found |= more

    def run(self, model: str, twin: bool = False) -> None:
        """Train, evaluate, decide and promote on the last snapshot; a twin does it again under its name."""
        if not self.made or (twin and not self.runs):
            return
        self.runs += not twin
        run_id, snapshot_id = f"run-{self.runs}", self.made[-1][0]
        for body in self.trainer.models.values():
            remember(sha256(body), ServingCheck.model_validate(SERVED))
        self.trainer.run(run_id, model, snapshot_id=snapshot_id)
        settings, way = self.settings, self.way
        self.do(lambda: evaluate_candidate(settings, way, run_id, snapshot_id, champion_ref(way)))
        self._compare_fairly(run_id, snapshot_id)
        self.do(lambda: decide_promotion(settings, way, run_id, snapshot_id))
        with suppress(PromotionRefused):
            self.do(lambda: promote_model(settings, way, run_id))
        self._remember()

    def _compare_fairly(self, run_id: str, snapshot_id: str) -> None:
        found = read_evaluation(self.store, run_id)
        test = snapshots.test_rows(self.store, snapshot_id)
        for other, reference in ((found.champion, read_champion(self.store)),):
            if other is None or reference is None:
                continue
            learned = snapshots.training_rows(self.store, reference.manifest.snapshot_id)
            unseen = ~test["patient"].isin(learned["patient"]) & ~test["sha256"].isin(learned["sha256"])
            assert other.test.images == int(unseen.sum())

    def _remember(self) -> None:
        """What each entry rests on, as it was when the entry was new."""
        for entry in ledger.read_ledger(self.store):
            keys = [layout.ledger_entry(entry.seq)]
            keys += [entry.decision.key] if entry.decision else []
            if entry.kind == "promoted" and entry.version:
                keys += [layout.model(entry.version, name) for name in ("manifest.json", "model.keras")]
            for key in keys:
                self.evidence.setdefault(key, self.store.read(key))

    def check(self) -> None:
        homes: dict[str, str] = {}
        for snapshot_id, out in self.made:
            training = snapshots.training_rows(self.store, snapshot_id)
            test = snapshots.test_rows(self.store, snapshot_id)
            for split, rows in (("train", training), ("test", test)):
                for patient in rows["patient"].unique():
                    assert homes.setdefault(patient, split) == split, f"{patient} changed its split"
                assert not out & set(rows["batch_id"]), "a withdrawn batch came back"
        for key, body in self.evidence.items():
            assert self.store.read(key) == body, f"{key} changed after the act"
        failed = [finding for finding in verify(self.settings, self.store) if finding.verdict == "fail"]
        assert failed == []
        champion = read_champion(self.store)
        if champion is not None:
            decision = read_decision(self.store, champion.run_id)
            assert decision.decision in ("approved", "rejected", "identical")
