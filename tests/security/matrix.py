"""Every kind of object in a bucket, each way to attack it, and the reader that notices.

``docs/security-matrix.md`` is the table that ``test_matrix.py`` finds: nothing in it is written by hand but
the names, the harm, and why an object needs no guard.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pneumo_tasks.dataset.snapshots import test_rows as rows_of_the_test_set
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import CorruptArtefact, PneumoError
from pneumo_tasks.evaluation.record import read_recorded, read_test_scores
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.anchors import Anchor
from pneumo_tasks.promotion.registry.champion import champion_ref, read_champion, registered_evaluation
from pneumo_tasks.promotion.registry.versions import download_model
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.sealing.inventory import unguarded
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.storage.told_objects import ToldStore
from tests.evaluation.story import SNAPSHOT

ATTACKS = ("changed", "swapped", "deleted", "forged")
Bucket = dict[str, bytes]


@dataclass(frozen=True)
class Scene:
    """A bucket with two champions, and ``third``, which waits for its promotion; what a run was told."""

    settings: Settings
    store: ObjectStore
    folder: Path
    anchor: Anchor
    told: dict[str, str]

    def verify(self) -> None:
        failed = [f for f in verify(self.settings, self.store, [self.anchor]) if f.verdict == "fail"]
        if failed:
            raise CorruptArtefact(failed[0].detail, where=failed[0].subject)

    def predict(self) -> None:
        download_model(self.settings, self.store, self.folder / "m.keras")

    def promote(self) -> None:
        promote_model(self.settings, self.store, "third")

    def next_task(self) -> None:
        store = ToldStore.of(self.store, self.told)
        training_rows(store, SNAPSHOT)
        rows_of_the_test_set(store, SNAPSHOT)
        for key in self.told:
            store.read(key)
        read_recorded(store, "third")

    def opponent(self) -> None:
        champion = read_champion(self.store)
        if champion is None or champion_ref(self.store, self.settings) is None:
            raise CorruptArtefact("there is no champion")
        read_test_scores(self.store, registered_evaluation(self.store, champion.manifest))


READERS: dict[str, Callable[[Scene], None]] = {
    "run": Scene.next_task,
    "comparison": Scene.opponent,
    "predict": Scene.predict,
    "verify": Scene.verify,
    "approve": Scene.promote,  # the only one that writes, so the last
}


@dataclass(frozen=True)
class Kind:
    """``target`` is the object that is attacked, ``older`` a valid one of the same kind; both patterns.

    ``changes`` are the fields that a writer would set; ``harm`` is what is prevented.
    """

    name: str
    target: str
    older: str
    harm: str
    changes: dict[str, object] = field(default_factory=dict)

    def changed(self, body: bytes, older: bytes) -> bytes:
        if self.target.endswith(".parquet"):
            return _flipped(body)
        if self.target.endswith("json"):
            return canonical_json(json.loads(body) | self.changes)
        return older + b"\0"


SECOND, FIRST = r"models/tiny-[0-9a-f]+-second-[0-9a-f]+/", r"models/tiny-[0-9a-f]+-first-[0-9a-f]+/"
OTHER_MODEL = {"sha256": "0" * 64}
KINDS = (
    Kind("pointer", "champion.json", "", "another model is served", {"version": "tiny-0-mallory"}),
    Kind("ledger entry", "ledger/00000002.json", "ledger/00000001.json", "history is another", {"by": "m"}),
    Kind("signature of an entry", "ledger-seals/00000002.json", "ledger-seals/00000001.json",
         "a forged entry passes", {"signature": "00" * 64}),
    Kind("manifest of a version", f"{SECOND}manifest.json", f"{FIRST}manifest.json",
         "another threshold is served", {"operating_point": {"threshold": 0.999}}),
    Kind("signature of a manifest", f"{SECOND}manifest.sig.json", f"{FIRST}manifest.sig.json",
         "a forged manifest passes", {"signature": "00" * 64}),
    Kind("model of a version", f"{SECOND}model.keras", f"{FIRST}model.keras", "another model is served"),
    Kind("evaluation of a version", f"{SECOND}evaluation.json", f"{FIRST}evaluation.json",
         "the gate compares with other figures", {"scores_sha256": "0" * 64}),
    Kind("model card", f"{SECOND}model_card.md", f"{FIRST}model_card.md", "a card says what nobody found"),
    Kind("decision", "runs/third/decision.json", "runs/second/decision.json",
         "another candidate is promoted", {"reason": "mallory says so"}),
    Kind("revision of a decision", "runs/third/revisions/decision-0001.json",
         "runs/second/revisions/decision-0001.json", "another candidate is promoted", {"reason": "m"}),
    Kind("signature of a decision", "runs/third/revisions/decision-0001.sig.json",
         "runs/second/revisions/decision-0001.sig.json", "a forged decision passes",
         {"signature": "00" * 64}),
    Kind("evaluation", "runs/third/evaluation.json", "runs/second/evaluation.json",
         "other figures are judged", {"scores_sha256": "0" * 64}),
    Kind("revision of an evaluation", "runs/third/revisions/evaluation-0001.json",
         "runs/second/revisions/evaluation-0001.json", "other figures are judged",
         {"scores_sha256": "0" * 64}),
    Kind("scores of the champion", r"runs/second/revisions/test_scores-[0-9a-f]+\.parquet",
         r"runs/first/revisions/test_scores-[0-9a-f]+\.parquet", "the comparison is with other scores"),
    Kind("candidate's description", "runs/third/candidate.json", "runs/second/candidate.json",
         "another model is registered", OTHER_MODEL),
    Kind("candidate as evaluated", r"runs/third/revisions/candidate-[0-9a-f]+\.json",
         r"runs/second/revisions/candidate-[0-9a-f]+\.json", "another model is registered", OTHER_MODEL),
    Kind("candidate's model", r"runs/third/candidate\.keras", r"runs/first/candidate\.keras",
         "another model is registered"),
    Kind("training table", f"datasets/{SNAPSHOT}/training.parquet", f"datasets/{SNAPSHOT}/test.parquet",
         "training learns other labels"),
    Kind("test table", f"datasets/{SNAPSHOT}/test.parquet", f"datasets/{SNAPSHOT}/training.parquet",
         "the test set has other labels"),
    Kind("summary of a snapshot", f"datasets/{SNAPSHOT}/summary.json", "", "tables of somebody are read",
         {"tables": {}}),
)  # fmt: skip

# What no signed document names by its digest, and what a changed one costs; ``unsigned.py`` attacks them.
UNGUARDED = {
    "incoming/": "the first verdict pins its digest; before that a film is what its sender says",
    "catalogue/": "sealed with a key; without: labels of later snapshots can be changed",
    "validations/": "facts, verdicts: sealed with a key; without: the same. Pages are for people",
    "validations-begun/": "sealed with a key; without: a forged attempt at a verdict refuses a batch early",
    "withdrawals/": "sealed with a key; without: a deleted one brings a batch back; the ledger names it",
    "register/": "sealed with a key; without: a patient moved between segments is noticed, a rewrite is not",
    "seen/": "sealed with a key; without: a deleted one calls a patient new: a version looks too good",
    "datasets/*/decisions/": "sealed with a key; without: a forged marker ends a run early",
    "test-sets/": "sealed with a key; without: a deleted look counts the exposure of a test set too low",
    "error-budget/": "sealed with a key; without: a deleted one gives a part of the budget back",
    "features/": "made again; a shard of another extractor is not opened; the export is compared on films",
    "templates/": "made again from films",
    "protocols/": "named by its digest; the ledger entry that activates it is signed",
    "proposals/": "a second person is asked for each; an answer is checked at the change",
    "answers/": "an answer in the bucket counts only where the approver is the one that Airflow saw",
    "outcomes/": "sealed with a key; without: forged outcomes raise or hide an alarm, and promote nothing",
    "outcome-sums/": "as outcomes/",
    "incoming-outcomes/": "as incoming/: before it is imported a file is what its sender says",
    "watch-evidence/": "what people read about an alarm; promotes nothing",
    "watch/": "the same",
    "watch-reviews/": "the same",
    "unseen/": "sealed with a key; without: scores under a model's digest; figures of a report",
    "later/": "the same",
    "matrix/": "a table for people, made again",
    "runs/*/{head,fine_tune,class_balance,held_out_scores,checkpoints}": "read within the run, by digests",
    "run-index/, run-catalogue.json.gz, ledger-copy.json": "copies for lists; made again from the objects",
    "quarantine/, comparisons/, store-probes/": "for people, or for seconds; promotes nothing",
    "tally/": "counts what is sealed: signed, in a chain, and named by the entries of the ledger",
}


def whole(store: ObjectStore) -> Bucket:
    return {listed.key: store.read(listed.key) for listed in store.list_objects("")}


def restore(store: ObjectStore, bucket: Bucket) -> None:
    """Put back every object as it was, and delete what is new, as somebody does who asks no guard."""
    store = unguarded(store)
    now = {listed.key: listed.etag.strip('"') for listed in store.list_objects("")}
    for key in now.keys() - bucket.keys():
        store.delete(key)
    for key, body in bucket.items():
        if now.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest():
            store.put(key, body)


def find(bucket: Bucket, pattern: str) -> str:
    """The one key of the pattern; empty where there is none (signatures of a bucket without a key)."""
    return next((key for key in bucket if re.fullmatch(pattern, key)), "")


def attack(how: str, kind: Kind, bucket: Bucket, former_pointer: bytes) -> Bucket:
    """The bucket as the attacker leaves it."""
    target = find(bucket, kind.target)
    older = bucket.get(find(bucket, kind.older), former_pointer)
    if how == "deleted":
        return {key: body for key, body in bucket.items() if key != target}
    if how == "swapped":
        return {**bucket, target: older}
    forged = {**bucket, target: kind.changed(bucket[target], older)}
    return _consistent(bucket, forged, target) if how == "forged" else forged


def _consistent(before: Bucket, after: Bucket, target: str) -> Bucket:
    """Every digest that names a changed object is changed with it, and so on, up to the last entry."""
    waiting, steps = [(sha256(before[target]), sha256(after[target]))], 0
    while waiting and (steps := steps + 1) < 200:
        old, new = waiting.pop()
        for key, body in list(after.items()):
            if not key.endswith(".json") or old.encode() not in body:
                continue
            rewritten = body.replace(old.encode(), new.encode()).replace(old[:16].encode(), new[:16].encode())
            waiting.append((sha256(body), sha256(rewritten)))
            after[key] = rewritten
        for key in [key for key in after if old[:16] in key]:
            after[key.replace(old[:16], new[:16])] = after.pop(key)
    return after


def noticed_by(scene: Scene, attacked: Bucket) -> list[str]:
    """The readers that refuse what the attacker left."""
    found = []
    restore(scene.store, attacked)
    for name, reader in READERS.items():
        try:
            reader(scene)
        except (PneumoError, ValueError, KeyError):
            found.append(name)
    return found


def _flipped(body: bytes) -> bytes:
    rows = pd.read_parquet(io.BytesIO(body))
    if "label" in rows:
        rows["label"] = rows["label"].map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"})
    return rows.iloc[::-1].to_parquet(index=False)


def table(cells: dict[tuple[str, str], list[str]]) -> str:
    """One table: a row for each kind, a column for each attack, the readers that refuse in each cell."""
    lines = ["| object | " + " | ".join(ATTACKS) + " | before |", "|---" * (len(ATTACKS) + 2) + "|"]
    for kind in KINDS:
        row = [_cell(cells[kind.name, how]) if (kind.name, how) in cells else "-" for how in ATTACKS]
        lines.append(f"| {kind.name} | {' | '.join(row)} | {kind.harm} |")
    return "\n".join(lines)


def _cell(readers: list[str]) -> str:
    return ", ".join(readers) if readers else "**not noticed**"
