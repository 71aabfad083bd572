"""What the default head says of a source that it never saw, on training films alone, beside its control.

A source is what stands before the number of a patient's id. The features are the product's own; no test
film is opened. A bucket that is there already (PNEUMO_S3_ENDPOINT and so on, its batches validated) is used
with its features; else one is made in `--scratch`, and the films of `--data` are written into it.
"""

import argparse
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from training_bucket import find_films, open_bucket, write_snapshot

from pneumo_tasks import pipeline
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.evaluation.figures.metrics import Scores
from pneumo_tasks.evaluation.probes.left_out import LeftOut, Profile, leave_sources_out, source_of
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.examples import Examples
from pneumo_tasks.training.fitting.cross_fitting import fit_head, probability_of_films
from pneumo_tasks.training.fitting.workplace import prepare
from pneumo_tasks.training.recipe import CrossFitting

SNAPSHOT, RUN = "left-out", "left-out"


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.WARNING if options.json else logging.INFO, format="%(message)s")
    with _snapshot(options) as (settings, store, snapshot_id):
        found = measure(settings, store, snapshot_id, options.draws)
    if options.json:
        print(json.dumps([row.model_dump() for row in found], indent=1))
        return
    for row in found:
        print(
            f"{row.source:18} {row.films:5} left out  {_line([row.profile])}   control {_line(row.control)}"
        )


def measure(settings: Settings, store: ObjectStore, snapshot_id: str, draws: int) -> list[LeftOut]:
    """Extract what is missing, then fit once without each source and once for each of its controls."""
    run = Run(settings, store, RUN, recorded=False)
    for shard in dict.fromkeys(training_rows(store, snapshot_id)["shard"]):
        pipeline.extract(run, snapshot_id, shard)
    place = prepare(settings, store, RUN, snapshot_id)
    head = place.recipe.head
    if not isinstance(head, CrossFitting):
        raise SystemExit(f"recipe {place.recipe.name}: only a head that is solved is fitted so often")
    examples = place.every_example(head.cuts)
    (features,) = examples.features(np.arange(len(examples)))
    table = place.rows.assign(source=source_of(place.rows["patient"])).reset_index(drop=True)

    def fit_without(held: NDArray[np.bool_]) -> Scores:
        return scores_without(examples, features, table["sha256"], held, head.inverse_penalty)

    return leave_sources_out(table, fit_without, settings.seed, draws)


def scores_without(
    examples: Examples,
    features: NDArray[np.float32],
    images: "pd.Series[str]",
    held: NDArray[np.bool_],
    inverse_penalty: float,
) -> Scores:
    """Fit on the films that are not ``held``, their copies neither, and score those that are."""
    out = np.isin(examples.image.astype(str), images[held].to_numpy(str))
    head = fit_head(features[~out], examples.labels[~out], examples.weights[~out], inverse_penalty)
    scores = probability_of_films(examples, head.logits(features))
    return scores.reindex(images[held]).to_numpy(np.float64)


@contextmanager
def _snapshot(options: argparse.Namespace) -> Iterator[tuple[Settings, ObjectStore, str]]:
    if os.environ.get("PNEUMO_S3_ENDPOINT"):
        settings = Settings.load({"recipe": options.recipe, "export_onnx": False, "force": True})
        store = ObjectStore.connect(settings)
        run = Run(settings, store, RUN, recorded=False)
        assembled = pipeline.assemble(run).snapshot
        if assembled is None:
            raise SystemExit("no image was accepted")
        pipeline.balance(run, assembled.snapshot_id)
        yield settings, store, assembled.snapshot_id
        return
    weights = str(options.weights) if options.weights.is_file() else "random"
    with tempfile.TemporaryDirectory(prefix="pneumo-benchmark-", dir=options.scratch) as folder:
        films = find_films(options.data, 10**6, Path(folder)).assign(batch_id="b")
        draw = [int(hashlib.sha256(p.encode()).hexdigest(), 16) % 100 for p in films["patient"]]
        films = films[np.array(draw) < options.percent].reset_index(drop=True)
        with open_bucket(Path(folder), weights, recipe=options.recipe, export_onnx=False) as (
            settings,
            store,
        ):
            write_snapshot(settings, store, films, SNAPSHOT, [RUN])
            yield settings, store, SNAPSHOT


def _line(profiles: list[Profile]) -> str:
    names = ("auc", "specificity", "calibration_error")
    means = {name: np.mean([getattr(profile, name) for profile in profiles]) for name in names}
    return "  ".join(f"{name.replace('_', ' ')} {mean:.4f}" for name, mean in means.items())


def _options() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared / "chest_xray" / "train")
    parser.add_argument("--weights", type=Path, default=shared / "vgg16_imagenet_notop.weights.h5")
    parser.add_argument("--recipe", default="vgg16-standard-frame")
    parser.add_argument("--percent", type=int, default=100, help="of the patients")
    parser.add_argument("--draws", type=int, default=3, help="of the control")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.add_argument("--scratch", type=Path, default=None, help="folder for bucket and cache")
    return parser.parse_args()


if __name__ == "__main__":
    main()
