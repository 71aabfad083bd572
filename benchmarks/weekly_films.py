"""Ten weeks of real films: each batch is scored by the champion before anybody trains on it, then trained on.

The training films are cut by patient into weekly batches, and a sample of the test films is the locked test
set. Every candidate is promoted (the limits are off), so that the matrix has a version a week. Printed: what
each version reached on the locked test set and on the films of the weeks after it, and the matrix.

The recipe is the default's head on one squashed view, so that ten trainings take minutes on two cores.

Usage: python benchmarks/weekly_films.py --data FOLDER --weights FILE [--films 60] [--weeks 10] [--json]
"""

import argparse
import dataclasses
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pneumo_tasks import pipeline
from pneumo_tasks.evaluation.serving import ServingCheck, remember
from pneumo_tasks.evaluation.unseen.unseen_figures import unseen_figures
from pneumo_tasks.evaluation.unseen.unseen_table import read_table
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.register import draw
from pneumo_tasks.intake.sent.batches import Split, upload_batch
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.monitoring.matrix import measure_matrix
from pneumo_tasks.promotion.registry.champion import list_versions
from pneumo_tasks.promotion.report.beside import promoted_evaluation
from pneumo_tasks.run import Run
from pneumo_tasks.settings import PUBLIC_PATIENT_PATTERN, Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.recipes import RECIPES

RECIPE = "weekly-films"
# What a protocol would hold: nothing is refused, for this is no judgement of the candidates.
LIMITS = {
    "MIN_RECALL": "0", "MIN_PRECISION": "0", "MIN_AUC": "0", "SLICE_MIN_RECALL": "0",
    "MIN_TEST_PATIENTS": "2",
    "RECALL_MARGIN": "1", "PRECISION_MARGIN": "1", "ORIGINAL_RECALL_MARGIN": "1", "FREE_STEP": "1",
    "ORIGINAL_PRECISION_MARGIN": "1", "MAX_OCCLUSION_SHIFT": "1", "MAX_LATENCY_SECONDS": "60",
    "RESAMPLES": "200", "EXPORT_ONNX": "false", "REPORT_IMAGES": "false",
}  # fmt: skip


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    base = RECIPES["vgg16-standard-frame"]
    RECIPES[RECIPE] = dataclasses.replace(base, name=RECIPE, frame="squash", augmentation="none", variants=0)
    os.environ |= {f"PNEUMO_{name}": value for name, value in LIMITS.items()}
    started = time.monotonic()
    with _bucket(options.weights) as (settings, store), tempfile.TemporaryDirectory() as folder:
        weeks = _cut(options.data / "train", options.weeks, options.films)
        test = _cut(options.data / "test", 1, options.test_films)[0]
        _hand_in(settings, store, Path(folder), "test", test, "test")
        runs = []
        for number, films in enumerate(weeks, start=1):
            _hand_in(settings, store, Path(folder), f"week-{number:02d}", films, "train")
            runs.append(_week(settings, store, f"week-{number:02d}"))
            sys.stderr.write(json.dumps(runs[-1]) + "\n")
        table = {"weeks": runs, "versions": _beside(store)}
        table["matrix"] = measure_matrix(settings, store).model_dump(mode="json")
    table["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(table, indent=1) + "\n" if options.json else _as_text(table))


def _cut(folder: Path, parts: int, films: int) -> list[list[Path]]:
    """Whole patients by a keyed hash, at most about ``films`` films a part."""
    found: list[list[tuple[float, str, Path]]] = [[] for _ in range(parts)]
    for path in sorted(folder.glob("*/*.jpeg")):
        patient = _patient(path.name)
        place = int(draw(patient, "weeks", "week") * parts)
        found[place].append((draw(patient, "weeks", "order"), patient, path))
    return [_whole_patients(part, films) for part in found]


def _whole_patients(part: list[tuple[float, str, Path]], films: int) -> list[Path]:
    by_patient: dict[tuple[float, str], list[Path]] = defaultdict(list)
    for order, patient, path in part:
        by_patient[order, patient].append(path)
    taken: list[Path] = []
    for key in sorted(by_patient):
        if len(taken) >= films:
            break
        taken += by_patient[key]
    return taken


def _patient(name: str) -> str:
    match = re.match(PUBLIC_PATIENT_PATTERN, name)
    return ":".join(filter(None, match.groups())) if match else name


def _hand_in(
    settings: Settings, store: ObjectStore, folder: Path, batch_id: str, films: list[Path], split: Split
) -> None:
    for path in films:
        place = folder / batch_id / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    upload_batch(settings, store, folder / batch_id, batch_id, split)


def _week(settings: Settings, store: ObjectStore, run_id: str) -> dict[str, Any]:
    run, began = Run(settings, store, run_id), time.monotonic()
    for batch_id in pipeline.discover(run, {}, "benchmark").batches:
        pipeline.validate(run, batch_id)
    snapshot = pipeline.assemble(run).snapshot
    if snapshot is None:
        sys.exit("no image was accepted")
    pipeline.balance(run, snapshot.snapshot_id)
    for shard in snapshot.shards:
        pipeline.extract(run, snapshot.snapshot_id, shard)
    asked = time.monotonic()
    scored = pipeline.score_unseen(run, snapshot.snapshot_id)
    asking = time.monotonic() - asked
    for stage in (pipeline.train, pipeline.tune, pipeline.export):
        stage(run, snapshot.snapshot_id)
    _spare_the_serving_check(run)
    pipeline.evaluate(run, snapshot.snapshot_id)
    settled = pipeline.promote(run, pipeline.decide(run, snapshot.snapshot_id))
    pipeline.report(run)
    pipeline.close(run)
    return {
        "run": run_id,
        "train_films": snapshot.train + snapshot.validation,
        "unseen_films": scored.films,
        "left_out": scored.left_out,
        "asked": {model.version: model.source for model in scored.models},
        "score_seconds": round(asking, 1),
        "seconds": round(time.monotonic() - began, 1),
        "promoted": settled.version if settled.seq else None,
    }


def _spare_the_serving_check(run: Run) -> None:
    """Half a minute a candidate in a fresh process, of which nothing is told here."""
    passed = ServingCheck.model_validate({
        "loads": True, "odd_films": 7, "odd_films_answered": 7, "parity": 0.0, "load_seconds": 0.0,
        "latency_seconds": 0.0, "memory_mb": 0.0,
    })  # fmt: skip
    remember(read_candidate(run.store, run.run_id).sha256, passed)


def _beside(store: ObjectStore) -> list[dict[str, Any]]:
    """Each version on the locked test set and on unseen films, the oldest first."""
    accepted, rows = accepted_images(store), []
    for manifest in sorted(list_versions(store), key=lambda found: found.run_id):
        own = promoted_evaluation(store, manifest.version)
        figures = unseen_figures(read_table(store, manifest.sha256), accepted, manifest.threshold)
        row: dict[str, Any] = {"run": manifest.run_id, "unseen_films": figures.films}
        for name in ("recall", "specificity"):
            share, locked = getattr(figures, name), own.intervals.get(name)
            row[name] = {
                "locked": getattr(own.test, name),
                "locked_interval": [locked.low, locked.high] if locked else None,
                "unseen": share.value,
                "unseen_bounds": [share.low, share.high],
                "unseen_patients": share.patients,
            }
        rows.append(row)
    return rows


@contextmanager
def _bucket(weights: Path) -> Iterator[tuple[Settings, ObjectStore]]:
    with tempfile.TemporaryDirectory() as folder:
        server = seaweedfs.start(Path(folder))
        try:
            settings = Settings.load(
                {
                    "s3_endpoint": server.endpoint, "s3_access_key": server.access_key, "bucket": "weeks",
                    "s3_secret_key": server.secret_key, "backbone_weights": str(weights), "recipe": RECIPE,
                    "cache_folder": Path(folder) / "cache",
                }
            )  # fmt: skip
            store = ObjectStore.connect(settings)
            store.ensure_bucket()
            yield settings, store
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def _as_text(table: dict[str, Any]) -> str:
    lines = [json.dumps(row) for row in [*table["weeks"], *table["versions"]]]
    for row in table["matrix"]["versions"]:
        cells = {cell["data"]: (cell["evidence"], cell["recall"]["value"]) for cell in row["cells"]}
        lines.append(f"{row['run_id']}: {cells} {row['update']}")
    return "\n".join([*lines, f"{table['seconds']} s"]) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--films", type=int, default=60)
    parser.add_argument("--test-films", type=int, default=160)
    parser.add_argument("--weeks", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
