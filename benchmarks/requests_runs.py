"""Requests to the store that a champion, a promotion and the pages of runs cost in a bucket with a past.

500 entries in the ledger, 500 ended runs, and a run that goes on with 1,000 stage records, on a SeaweedFS
of its own. Each figure is of a process that has read nothing yet, unless it says "again".

Usage: python benchmarks/requests_runs.py [--entries N] [--runs N] [--stages N]
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pneumo_tasks import journal
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import champion_ref, read_champion
from pneumo_tasks.promotion.registry.history import read_history
from pneumo_tasks.promotion.runs.index import RunIndex, enter_missing
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json
from tests.evaluation.story import Story, save_model
from tests.promotion.history import PERMISSIVE
from tests.promotion.judging import judge

GOING_ON = "weekly-now"


def main(entries: int, runs: int, stages: int) -> None:
    """Fill a bucket, then print one JSON line a case: requests and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        server = seaweedfs.start(Path(folder))
        try:
            settings = settings_of(server)
            candidate = fill(settings, Path(folder), entries, runs, stages)
            enter_missing(ObjectStore.connect(settings))
            measure_all(settings, candidate)
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def settings_of(server: seaweedfs.S3Server) -> Settings:
    """Limits that a tiny test set meets; the environment says them, for no run may loosen the protocol."""
    os.environ |= PERMISSIVE | {
        "PNEUMO_S3_ENDPOINT": server.endpoint, "PNEUMO_S3_ACCESS_KEY": server.access_key,
        "PNEUMO_S3_SECRET_KEY": server.secret_key, "PNEUMO_BUCKET": "requests", "PNEUMO_DEMO": "true",
        "PNEUMO_BACKBONE_WEIGHTS": "random",
    }  # fmt: skip
    return Settings.load()


def fill(settings: Settings, folder: Path, entries: int, runs: int, stages: int) -> str:
    """A champion, refusals until the ledger is as long as wanted, and runs that ended without an entry in
    the index, so that the index has to catch up; returns a run to be promoted.
    """
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    for name, weights in {"good": (12.0, 0.0, -6.0), "better": (14.0, 0.0, -7.0)}.items():
        save_model(folder / f"{name}.keras", *weights)
    story = Story(store, {name: (folder / f"{name}.keras").read_bytes() for name in ("good", "better")})
    promote_model(settings, store, judge(settings, story, "first"))
    refuse(store, entries - 1)
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(lambda number: journal.record_failure(store, f"old-{number}", "x", "lost"), range(runs))
        )
    candidate = judge(settings, story, "second", "better")
    journal.record_start(store, GOING_ON, {"params": {}})

    def extract(number: int) -> None:
        with journal.stage(store, GOING_ON, "extract_features", f"shard-{number}"):
            pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(extract, range(stages)))
    return candidate


def refuse(store: ObjectStore, number: int) -> None:
    """Refusals as a year of runs leaves them: the last by ``append``, the others as it writes them."""
    head = ledger.read_ledger(store)[-1]
    for _ in range(number - 1):
        entry = ledger.LedgerEntry(
            kind="rejected", version=None, sha256=None, manifest_sha256=None, run_id=None, replaces=None,
            attempt=f"attempt-{head.seq}", by="the gate", reason="recall is below its limit",
            seq=head.seq + 1, at=journal.now(), previous_sha256=ledger.digest(head),
        )  # fmt: skip
        store.put(layout.ledger_entry(entry.seq), canonical_json(entry.model_dump(exclude_unset=True)))
        head = entry
    ledger.append(
        store, ledger.NewEntry(kind="rejected", version=None, attempt="last", by="the gate", reason="recall")
    )


def measure_all(settings: Settings, candidate: str) -> None:
    page, warm = RunIndex(), ObjectStore.connect(settings)
    cases: dict[str, Callable[[ObjectStore], Any]] = {
        "pointer and manifest of the champion": read_champion,
        "champion to compare with": champion_ref,
        "models history, ledger page": read_history,
        "runs page, first view": lambda store: (page.read(store), read_champion(store)),
        "runs page, again": lambda store: (page.read(store), read_champion(store)),
        "page of the run that goes on": lambda store: show_run(store, GOING_ON),
        "promotion": lambda store: promote_model(settings, store, candidate),
    }
    for name, case in cases.items():
        store = warm if name == "runs page, again" else ObjectStore.connect(settings)
        made: list[str] = []
        store.client.meta.events.register(
            "before-send.s3", lambda request, made=made, **_: made.append(request.url)
        )
        began = time.monotonic()
        case(store)
        result = {"case": name, "requests": len(made), "seconds": round(time.monotonic() - began, 2)}
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--stages", type=int, default=1000)
    main(**vars(parser.parse_args()))
