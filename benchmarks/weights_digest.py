"""Which weights each recipe gives on one fixed snapshot: the same before and after a change of the code.

The films are drawn phantoms and the backbone is random, so that a run takes minutes and needs nothing.
The digests hold for one machine: another processor adds in another order.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from training_bucket import find_films, open_bucket, write_snapshot

from pneumo_tasks import journal
from pneumo_tasks.dataset.summary import SnapshotSummary
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

RECIPES = ("vgg16-standard-frame", "vgg16-head-and-block5", "article-vgg16-block5-conv3")
SNAPSHOT = "fixed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--images", type=int, default=60)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="pneumo-digest-") as folder:
        scratch = Path(folder)
        films = find_films(scratch / "none", options.images, scratch)
        with open_bucket(scratch, "random", export_onnx=False, precision="float32") as (settings, store):
            write_snapshot(settings, store, films.assign(batch_id="drawn"), SNAPSHOT, [])
            store.put_json(layout.dataset(SNAPSHOT, "summary.json"), _summary().model_dump(mode="json"))
            for name in options.recipes:
                print(json.dumps({"recipe": name, **_digest(settings, store, name)}), flush=True)


def _digest(settings: Settings, store: ObjectStore, recipe: str) -> dict[str, object]:
    """Train through the command line, whose form outlives what is behind it; read what was exported."""
    command = [sys.executable, "-c", "from pneumo_tasks.cli import main; main()"]
    command += ["recipes", "compare", recipe, "--snapshot", SNAPSHOT, "--json"]
    done = subprocess.run(
        command, env={**os.environ, **_environment(settings)}, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    (row,) = json.loads(done.stdout[done.stdout.index("{") :])["recipes"]
    candidate = store.read_json(layout.run(row["run_id"], "candidate.json"))
    head = store.read_json(layout.run(row["run_id"], "head/history.json"))
    return {
        "weights_sha256": candidate["weights_sha256"],
        "epochs": candidate["epochs"],
        "threshold": row["validation"]["threshold"],
        "validation_auc": row["validation"]["auc"],
        "films": head.get("cross_fitting", {}).get("films"),
    }


def _environment(settings: Settings) -> dict[str, str]:
    key, secret = settings.s3_access_key, settings.s3_secret_key
    assert key
    assert secret
    return {
        "PNEUMO_S3_ENDPOINT": str(settings.s3_endpoint),
        "PNEUMO_BUCKET": settings.bucket,
        "PNEUMO_S3_ACCESS_KEY": key.get_secret_value(),
        "PNEUMO_S3_SECRET_KEY": secret.get_secret_value(),
        "PNEUMO_BACKBONE_WEIGHTS": "random",
        "PNEUMO_DEMO": "true",
        "PNEUMO_TEST_SENDERS": "*",
        "PNEUMO_CACHE_FOLDER": str(settings.cache_folder),
        "PNEUMO_EXPORT_ONNX": "false",
        "PNEUMO_PRECISION": "float32",
    }


def _summary() -> SnapshotSummary:
    return SnapshotSummary(
        snapshot_id=SNAPSHOT, test_set_id="none", created_at=journal.now(), counts={}, patients={},
        families={}, batches=[], received=0, quarantined=0, excluded=[], synthetic=True, checks=[],
    )  # fmt: skip


if __name__ == "__main__":
    main()
