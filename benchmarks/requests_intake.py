"""Requests to the store that lists, an intake and an assembly cost in a bucket with many batches.

Fills a bucket of its own on a SeaweedFS of its own with accepted batches of two films, then counts what
passes a proxy, whatever process asks. A validation takes in a batch of real files.

Usage: python benchmarks/requests_intake.py [--batches N] [--json]
"""

import argparse
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pneumo_tasks import pipeline
from pneumo_tasks.intake.records.batch_list import describe_batch, list_batches
from pneumo_tasks.intake.records.catalogue import open_catalogue, take_place
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import Batch, upload_batch
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from tests.faults.proxy import Proxy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _bucket(Path(folder)) as (settings, proxy):
        store = ObjectStore.connect(settings)
        store.ensure_bucket()
        fill(store, asked.batches)
        found = {"batches": asked.batches, **count(settings, store, proxy, Path(folder))}
    text = json.dumps(found) if asked.json else "\n".join(f"{k}: {v}" for k, v in found.items())
    sys.stdout.write(text + "\n")


@contextmanager
def _bucket(folder: Path) -> Iterator[tuple[Settings, Proxy]]:
    server = seaweedfs.start(folder)
    proxy = Proxy(server.endpoint).start()
    try:
        yield Settings.load({
            "s3_endpoint": proxy.url, "s3_access_key": server.access_key, "demo": True,
            "s3_secret_key": server.secret_key, "bucket": "requests",
        }), proxy  # fmt: skip
    finally:
        proxy.stop()
        os.killpg(server.pid, signal.SIGKILL)


def fill(store: ObjectStore, batches: int) -> None:
    """Accepted batches of two films of two patients each, every tenth for the test set."""
    catalogue = open_catalogue(store)
    for number in range(batches):
        name, split = f"w{number:05d}", "train" if number % 10 else "test"
        batch = Batch(
            batch_id=name, created_at="2026-01-01", images=2, images_csv_sha256="", split=split
        )  # fmt: skip
        verdict = BatchVerdict(
            batch_id=name, digest="d", state="accepted", split=split, synthetic=True, images=2,
            accepted=2, quarantined=0, reasons=[], rejected=[], validated_at="2026-01-01",
        )  # fmt: skip
        store.put(layout.batch_manifest(name), canonical_json(batch.model_dump(mode="json")))
        store.put(verdict.evidence("facts.parquet"), _facts(number))
        take_place(store, catalogue, batch, verdict)
        catalogue = replace(catalogue, head=catalogue.head + 1)


def _facts(number: int) -> bytes:
    rows = [
        {
            "file": f"{label}.png", "key": f"k{number}{label}", "label": label,
            "patient": f"patient:{number}{label}", "patient_id": f"{number}{label}", "family": "patient",
            "sha256": sha256(f"{number}{label}".encode()), "pixel_digest": f"{number}{label}", "phash": None,
            "width": 224, "height": 224, "bytes": 9000, "grey_mean": 90.0, "grey_deviation": 30.0,
            "clipped_share": 0.0, "rule": None, "thumbnail": None,
        }
        for label in ("NORMAL", "PNEUMONIA")
    ]  # fmt: skip
    body = io.BytesIO()
    pd.DataFrame(rows).to_parquet(body)
    return body.getvalue()


def count(settings: Settings, store: ObjectStore, proxy: Proxy, folder: Path) -> dict[str, int]:
    """Requests of each stage; the first validation and assembly also write sums and the register."""
    write_phantoms(folder / "films", draw_phantoms(seed=3, train_per_label=4, test_per_label=0))
    for name in ("new-1", "new-2"):
        upload_batch(settings, store, folder / "films" / "train", name, "train", synthetic=True)
    run = Run(settings, store, "requests", recorded=False)
    stages: dict[str, Callable[[], object]] = {
        "batch list": lambda: list_batches(store),
        "discover": lambda: pipeline.discover(run, {}, "benchmark"),
        "validate one batch, first": lambda: pipeline.validate(run, "new-1"),
        "validate one batch, later": lambda: pipeline.validate(run, "new-2"),
        "assemble, first": lambda: pipeline.assemble(run),
        "assemble, later": lambda: pipeline.assemble(run),
        "batch show": lambda: describe_batch(store, "w00007"),
        "withdraw": lambda: withdraw_batch(store, "w00007", "me", "a benchmark"),
    }
    found = {}
    for name, stage in stages.items():
        proxy.seen.clear()
        stage()
        found[name] = len(proxy.seen)
    return found


if __name__ == "__main__":
    main()
