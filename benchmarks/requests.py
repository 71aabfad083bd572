"""How many requests a list, a discovery and the known films cost: ``python -m benchmarks.requests --json``.

Makes a bucket of tiny synthetic batches, so it needs an S3 server (the settings' one) and no film.
"""

import argparse
import io
import json
import uuid
from dataclasses import replace

import pandas as pd

from pneumo_tasks.intake.accepted import KNOWN, accepted_entries, known_films
from pneumo_tasks.intake.batch_list import discover_batches, list_batches
from pneumo_tasks.intake.batches import Batch
from pneumo_tasks.intake.catalogue import open_catalogue, take_place
from pneumo_tasks.intake.verdicts import BatchVerdict
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    settings = Settings.load().model_copy(update={"bucket": f"requests-{uuid.uuid4().hex[:8]}"})
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    fill(store, asked.batches)
    found = {"batches": asked.batches, **count(store)}
    print(json.dumps(found) if asked.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


def fill(store: ObjectStore, batches: int) -> None:
    """Accepted batches of one film each."""
    facts = io.BytesIO()
    pd.DataFrame([dict.fromkeys((*KNOWN, "rule", "thumbnail"))]).to_parquet(facts)
    catalogue = open_catalogue(store)
    for number in range(batches):
        batch = Batch(batch_id=f"w{number:05d}", created_at="2026-01-01", images=1, images_csv_sha256="")
        verdict = BatchVerdict(
            batch_id=batch.batch_id, digest="d", state="accepted", split="auto", synthetic=True, images=1,
            accepted=1, quarantined=0, reasons=[], rejected=[], validated_at="2026-01-01",
        )  # fmt: skip
        store.put(layout.batch_manifest(batch.batch_id), canonical_json(batch.model_dump(mode="json")))
        store.put(verdict.evidence("facts.parquet"), facts.getvalue())
        take_place(store, catalogue, batch, verdict)
        catalogue = replace(catalogue, head=catalogue.head + 1)


def count(store: ObjectStore) -> dict[str, int]:
    """Requests of each reading stage."""
    asked: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
    found = {}
    for name, stage in (
        ("list", list_batches), ("discover", discover_batches),
        ("accepted", accepted_entries), ("known_films", known_films),
    ):  # fmt: skip
        asked.clear()
        stage(store)
        found[name] = len(asked)
    return found


if __name__ == "__main__":
    main()
