"""A bucket of its own for the training benchmark: films as a snapshot, on a local S3 server."""

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from pneumo_tasks.dataset.balance import balance
from pneumo_tasks.dataset.shards import assign_shards
from pneumo_tasks.dataset.summary import SnapshotSummary
from pneumo_tasks.intake.sent.patients import compiled, from_file_name
from pneumo_tasks.journal import now
from pneumo_tasks.local import phantoms, seaweedfs
from pneumo_tasks.settings import LABELS, PUBLIC_PATIENT_PATTERN, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def find_films(data: Path, images: int, scratch: Path) -> pd.DataFrame:
    """``images`` films spread over the folders of both classes: path, label, patient.

    Where there is no such folder, phantoms are drawn.
    """
    if not data.is_dir():
        data = scratch / "phantoms"
        phantoms.write_phantoms(data, phantoms.draw_phantoms(7, -(-images // 2), 0))
    pattern, rows = compiled(PUBLIC_PATIENT_PATTERN), []
    for path in sorted(data.rglob("*.jpeg")):
        if path.parent.name in LABELS:
            patient = from_file_name(path.name, pattern)
            rows.append({"path": path, "label": path.parent.name, "patient": str(patient or path.stem)})
    films = pd.DataFrame(rows)
    return films.sample(min(images, len(films)), random_state=7).reset_index(drop=True)


@contextmanager
def open_bucket(scratch: Path, weights: str, **given: object) -> Iterator[tuple[Settings, ObjectStore]]:
    """Settings and bucket on a fresh local S3 server, stopped at the end."""
    server = seaweedfs.start(scratch / "s3")
    settings = Settings.load(
        {
            "test_senders": "*",
            "s3_endpoint": server.endpoint,
            "s3_access_key": server.access_key,
            "s3_secret_key": server.secret_key,
            "bucket": "training-benchmark",
            "backbone_weights": weights,
            "demo": weights == "random",
            "cache_folder": scratch / "cache",
            **given,
        }
    )
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    try:
        yield settings, store
    finally:
        os.killpg(server.pid, signal.SIGKILL)


def write_snapshot(
    settings: Settings, store: ObjectStore, films: pd.DataFrame, snapshot_id: str, run_ids: list[str]
) -> pd.DataFrame:
    """Upload the films and write them down as a snapshot: a fifth of the patients is for validation."""
    rows = films.copy()
    bodies = [path.read_bytes() for path in rows["path"]]
    rows["sha256"] = [hashlib.sha256(body).hexdigest() for body in bodies]
    rows["key"] = [layout.incoming(row.batch_id, f"{row.sha256}.jpeg") for row in rows.itertuples()]
    for key, body in zip(rows["key"], bodies, strict=True):
        store.put(key, body)
    rows = rows.drop_duplicates("sha256", ignore_index=True)
    rows["fold"] = [int(hashlib.sha256(p.encode()).hexdigest(), 16) % 5 for p in rows["patient"]]
    rows["split"] = rows["fold"].map(lambda fold: "train" if fold else "validation")
    rows["shard"] = assign_shards(rows, settings.shard_images)
    rows["synthetic"] = False
    table = rows.drop(columns="path")
    store.put(layout.dataset(snapshot_id, "training.parquet"), table.to_parquet(index=False))
    summary = SnapshotSummary(
        snapshot_id=snapshot_id, test_set_id="none", created_at=now(), counts={}, patients={}, families={},
        batches=[], received=0, quarantined=0, excluded=[], synthetic=False, checks=[],
    )  # fmt: skip
    store.put_json(layout.dataset(snapshot_id, "summary.json"), summary.model_dump(mode="json"))
    counts = table[table["split"] == "train"]["label"].value_counts().to_dict()
    for run_id in run_ids:
        facts = balance(counts, settings.class_weights).model_dump(mode="json")
        store.put_json(layout.run(run_id, "class_balance.json"), facts)
    return rows
