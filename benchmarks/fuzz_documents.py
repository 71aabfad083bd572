"""The JSON documents of a bucket for fuzzing, each with its readers, on a shelf in memory; and the pages."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing, PneumoError
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import Listed, ObjectStore, Stored, canonical_json, sha256

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

AT, ZEROS = "2026-11-27T00:00:00+00:00", "0" * 64
Read = Callable[[ObjectStore], object]


class Shelf(ObjectStore):
    """An object store that is a dict: what readers make of bytes is asked here, not how they arrive."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects, self.bucket = objects, "shelf"

    def get(self, key: str, expected_sha256: str | None = None) -> Stored:
        if key not in self.objects:
            raise ObjectMissing("there is no such object", where=key)
        body = self.objects[key]
        if expected_sha256 and sha256(body) != expected_sha256:
            raise CorruptArtefact("the digest is another", where=key)
        return Stored(body, f'"{sha256(body)}"')

    def exists(self, key: str) -> bool:
        return key in self.objects

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield Listed(key, len(self.objects[key]), None, f'"{sha256(self.objects[key])}"')

    def list_folders(self, prefix: str) -> list[str]:
        below = [key[len(prefix) :] for key in self.objects if key.startswith(prefix)]
        return sorted({name.split("/")[0] for name in below if "/" in name})

    def _put(self, key: str, body: bytes, content_type: str, **condition: Any) -> str:
        del content_type, condition
        self.objects[key] = body
        return f'"{sha256(body)}"'


def _batch() -> dict[str, Any]:
    return {
        "batch_id": "b", "created_at": AT, "split": "train", "synthetic": False,
        "images": 2, "files_json_sha256": ZEROS, "replaces": ["a"], "archive": "", "unlabelled": False,
    }  # fmt: skip


def _verdict() -> dict[str, Any]:
    return {
        "batch_id": "b", "digest": ZEROS, "state": "accepted", "split": "train", "images": 2, "accepted": 2,
        "quarantined": 0, "rejected": [], "reasons": [], "warnings": [], "checks": [],
        "validated_at": AT, "created_at": AT,
        "synthetic": False, "attempt": "0" * 32,
    }  # fmt: skip


def _entry() -> dict[str, Any]:
    return {
        "seq": 1, "at": AT, "kind": "promoted", "version": "v", "sha256": ZEROS,
        "by": "anna", "reason": "r", "previous_sha256": ZEROS, "attempt": "x",
    }  # fmt: skip


@cache
def DOCUMENTS() -> dict[str, tuple[bytes, Read]]:  # noqa: N802
    """A document at each key, and who reads it."""
    from pneumo_tasks.evaluation.looks import measure_exposure
    from pneumo_tasks.intake.records.batch_list import list_batches
    from pneumo_tasks.intake.records.catalogue import read_catalogue
    from pneumo_tasks.intake.records.register import read_register
    from pneumo_tasks.intake.records.verdicts import read_verdict
    from pneumo_tasks.intake.records.withdrawals import read_withdrawals
    from pneumo_tasks.intake.sent.batches import read_batch
    from pneumo_tasks.monitoring.outcomes import read_imports
    from pneumo_tasks.promotion.deciding.steps import past_askings
    from pneumo_tasks.promotion.judgement import read_decision
    from pneumo_tasks.promotion.ledger.ledger import read_ledger
    from pneumo_tasks.promotion.registry.champion import list_versions, read_champion, read_manifest
    from pneumo_tasks.promotion.registry.pointer import read_pointer
    from pneumo_tasks.promotion.runs.index import list_runs
    from pneumo_tasks.storage import layout

    made: dict[str, tuple[Any, Read]] = {
        layout.batch_manifest("b"): (
            _batch(), lambda s: (read_batch(s, "b"), list_batches(s)),
        ),
        layout.catalogue_entry(1): (
            {"seq": 1, "batch": _batch(), "verdict": _verdict()},
            lambda s: (read_catalogue(s), list_batches(s)),
        ),
        layout.validation("b", ZEROS, "verdict.json"): (_verdict(), lambda s: read_verdict(s, "b", ZEROS)),
        layout.withdrawal("b"): (
            {"batch_id": "b", "by": "anna", "reason": "r", "at": AT}, read_withdrawals,
        ),
        layout.REGISTER: ({"salt": "s", "rule": "nfkc-casefold-1", "homes": {}}, read_register),
        layout.registered(1): ({"patients": {"a:1": {"split": "train", "fold": 1}}}, read_register),
        layout.ledger_entry(1): (_entry(), read_ledger),
        layout.CHAMPION: (
            {"version": "v", "sha256": ZEROS, "seq": 1}, lambda s: (read_pointer(s), read_champion(s)),
        ),
        layout.model("v", "manifest.json"): (
            {"version": "v", "sha256": ZEROS, "run_id": "r", "files": {"model.keras": ZEROS},
             "operating_point": {"threshold": 0.5}},
            lambda s: (read_manifest(s, "v"), list_versions(s)),
        ),
        layout.run("r", "run.json"): ({"run_id": "r", "started": AT, "params": {}}, list_runs),
        layout.run("r", "decision.json"): (
            {"run_id": "r", "decision": "rejected", "reason": "r", "rules": [], "decided_at": AT},
            lambda s: (read_decision(s, "r"), list_runs(s)),
        ),
        layout.run("r", "failure.json"): ({"task": "t", "reason": "r", "at": AT}, list_runs),
        layout.run_entry("r"): ({"run_id": "r", "state": "success", "decision": "rejected"}, list_runs),
        layout.outcomes(1): (
            {"seq": 1, "arrived_at": AT, "by": "a", "sha256": ZEROS,
             "rows": [{"version": "v", "study": "s", "probability": 0.5}]},
            read_imports,
        ),
        layout.asking("r"): (
            {"run_id": "r", "at": AT, "sideways": "x", "test_set_id": "t", "test_patients": {"NORMAL": 9}},
            lambda s: past_askings(s, ""),
        ),
        layout.test_set_look("t", "r.candidate.0"): (
            {"run_id": "r", "at": AT}, lambda s: measure_exposure(s, "t"),
        ),
    }  # fmt: skip
    return {key: (canonical_json({"key": key, "document": body}), read) for key, (body, read) in made.items()}


def read_all(data: bytes) -> None:
    """Put the document where it says, or everywhere where it is no document, and let its readers read.

    A reader that says in our words what is wrong is a good reader; the next one is asked all the same.
    """
    try:
        told = json.loads(data)
        places, body = [told["key"]], json.dumps(told["document"]).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        places, body = list(DOCUMENTS()), data
    for key in places:
        if not isinstance(key, str) or key not in DOCUMENTS():
            continue
        try:
            DOCUMENTS()[key][1](Shelf({key: body}))
        except PneumoError:
            continue


@cache
def pages_client() -> "TestClient":
    """The pages over an empty shelf, for a reader who has a login."""
    from fastapi.testclient import TestClient

    from pneumo_airflow.reports import pages

    shelf = Shelf({})
    pages.bucket = lambda: shelf  # type: ignore[assignment]
    for asked in pages.app.router.dependencies:
        pages.app.dependency_overrides[asked.dependency] = lambda: None
    pages.connection_settings = dict  # type: ignore[assignment]
    Settings.load()
    return TestClient(pages.app)
