"""Does a model that saw variety mend what a source that is left out shows? Training films alone.

Variants of the head and of block5 are fitted without a source of the training films, and beside it without
as many films at random, and judged on what was left out: as it is, re-textured, re-exposed and reframed.
Features of the copies are kept in `--folder`, so that a variant costs its fit. No test film is opened.
"""

import argparse
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from training_bucket import find_films
from variety_block5 import Schedule
from variety_features import ALTERED, Films, read_films
from variety_models import Bench, Fitted, Head, Pairs

from pneumo_tasks.evaluation.figures.metrics import Scores
from pneumo_tasks.evaluation.probes.left_out import LeftOut, leave_sources_out, source_of
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage.object_store import sha256_of_file
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.hardware import prepare_hardware
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.recipes import find_recipe

log = logging.getLogger("variety")

WAYS = ("own", *ALTERED)
OWN: Pairs = [("own", "aligned"), ("own", "whole"), ("own", "core")]
UNALIGNED: Pairs = OWN[1:]
CROP: Pairs = [("crops 1", "core")]


def drawn(kind: str, view: str, copies: int) -> Pairs:
    return [(f"{kind} {number}", view) for number in range(1, copies + 1)]


TODAY, DEFAULT = "frozen head of today", Head()
COPIES = drawn("variety", "whole", 4)


def solved(train: Pairs, serve: Pairs = OWN, how: Head = DEFAULT) -> Fitted:
    return lambda bench, held: bench.frozen(held, train, serve, how)


def trained(train: Pairs, serve: Pairs) -> Fitted:
    return lambda bench, held: bench.block5(held, train, serve, Schedule())


VARIANTS: dict[str, Fitted] = {
    TODAY: solved(OWN + CROP),
    "without copies": solved(OWN),
    "without the aligned view": solved(UNALIGNED + CROP, UNALIGNED),
    "without block3": solved(OWN + CROP, how=Head(first=256)),
    "block5 alone": solved(OWN + CROP, how=Head(first=768)),
    "1 drawn copy": solved(OWN + COPIES[:1]),
    "2 drawn copies": solved(OWN + COPIES[:2]),
    "4 drawn copies": solved(OWN + COPIES),
    "4 drawn copies, C .001": solved(OWN + COPIES, how=Head(0.001)),
    "4 drawn copies, C .1": solved(OWN + COPIES, how=Head(0.1)),
    "4 drawn copies, without block3": solved(OWN + COPIES, how=Head(first=256)),
    "4 drawn copies, calm 10": solved(OWN + COPIES, how=Head(calm=10)),
    "4 drawn copies, without the aligned view": solved(UNALIGNED + COPIES, UNALIGNED),
    "1 drawn copy, without the aligned view": solved(UNALIGNED + COPIES[:1], UNALIGNED),
    "2 drawn copies, without the aligned view": solved(UNALIGNED + COPIES[:2], UNALIGNED),
    "4 drawn copies, no aligned view, C .1": solved(UNALIGNED + COPIES, UNALIGNED, Head(0.1)),
    "4 drawn copies, no aligned view, C .001": solved(UNALIGNED + COPIES, UNALIGNED, Head(0.001)),
    "4 drawn copies, no aligned view, no block3": solved(UNALIGNED + COPIES, UNALIGNED, Head(first=256)),
    "block5 trained": trained(OWN[:2] + COPIES, OWN[:2]),
    "block5 trained, without the aligned view": trained(UNALIGNED + COPIES, UNALIGNED),
}
AVERAGES = (f"{TODAY} + block5 trained", "4 drawn copies + block5 trained")


def main() -> None:
    options = _options()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    bench, table = prepared(options)
    found: dict[str, dict[str, list[LeftOut]]] = {name: {} for name in options.variants}
    for way, name in itertools.product(options.ways, options.variants):
        found[name][way] = measured(bench, table, name, way, options)
        for row in found[name][way]:
            print(f"{name:42} {way:12} {row.source:11} {_line(row)}", file=sys.stderr, flush=True)
    if options.json:
        shown = {
            name: {way: [row.model_dump() for row in rows] for way, rows in ways.items()}
            for name, ways in found.items()
        }
        print(json.dumps(shown, indent=1))


def measured(
    bench: Bench, table: pd.DataFrame, name: str, way: str, options: argparse.Namespace
) -> list[LeftOut]:
    return leave_sources_out(
        table,
        lambda held: bench.probability(name, held, way),
        options.seed,
        options.draws,
        options.sources,
    )


def prepared(options: argparse.Namespace) -> tuple[Bench, pd.DataFrame]:
    """The films of a share of the patients, and which of them will be judged."""
    options.folder.mkdir(parents=True, exist_ok=True)
    found = find_films(options.data, 10**6, options.folder)
    found["draw"] = [int(hashlib.sha256(p.encode()).hexdigest(), 16) % 100 for p in found["patient"]]
    table = found[found["draw"] < options.percent].sort_values("path")
    table["sha256"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in table["path"]]
    table = table.drop_duplicates("sha256", ignore_index=True).sample(
        frac=1, random_state=7, ignore_index=True
    )
    table["source"] = source_of(table["patient"])
    judged = np.zeros(len(table), bool)

    def note(held: NDArray[np.bool_]) -> Scores:
        judged[held] = True
        return np.zeros(int(held.sum()))

    leave_sources_out(table, note, options.seed, options.draws, options.sources)
    settings = Settings.load({"seed": options.seed, "backbone_weights": str(options.weights)})
    precision = prepare_hardware(settings).precision
    weights = BackboneWeights("vgg16", "file", sha256_of_file(options.weights), False, options.weights)
    recipe = dataclasses.replace(find_recipe("vgg16-standard-frame"), image_size=options.side)
    parts = FrozenParts(recipe, weights)
    log.info("%d films, %d to be judged, %s; %s", len(table), judged.sum(), precision,
             table["source"].value_counts().to_dict())  # fmt: skip
    taught = ((table["label"] == LABELS[0]) | (table["draw"] < options.taught)).to_numpy(bool)
    films = Films(table, read_films(table), parts, precision, options.folder, taught, judged)
    return Bench(films, options.seed, VARIANTS), table


def _line(row: LeftOut) -> str:
    def three(profiles: list[object]) -> str:
        return ", ".join(
            f"{np.mean([getattr(profile, name) for profile in profiles]):.3f}"
            for name in ("auc", "specificity", "calibration_error")
        )

    return f"{row.films:4} films  {three([row.profile])}  control {three(list(row.control))}"


def _options() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", default=[*VARIANTS, *AVERAGES])
    parser.add_argument("--data", type=Path, default=shared / "chest_xray" / "train")
    parser.add_argument("--weights", type=Path, default=shared / "vgg16_imagenet_notop.weights.h5")
    parser.add_argument("--folder", type=Path, default=Path("variety"), help="for features, some GB")
    parser.add_argument("--percent", type=int, default=28, help="of the patients")
    parser.add_argument(
        "--taught", type=int, default=11, help="percent of the ill patients that a fit may see"
    )
    parser.add_argument("--sources", nargs="*", default=["normal2-im"], help="to leave out")
    parser.add_argument(
        "--ways", nargs="*", default=WAYS, choices=WAYS, help="the films as they are, altered"
    )
    parser.add_argument("--draws", type=int, default=2, help="of the control")
    parser.add_argument("--side", type=int, default=150, help="of the backbone's input, in pixels")
    parser.add_argument("--seed", type=int, default=7, help="of what is left out")
    parser.add_argument("--json", action="store_true", help="print the document")
    return parser.parse_args()


if __name__ == "__main__":
    main()
