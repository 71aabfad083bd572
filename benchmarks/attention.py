"""Where models look: Grad-CAM of test films, the share of it inside the lungs' box, and if they need the box.

Takes runs of a bucket that is there already (PNEUMO_S3_ENDPOINT and so on). A run whose model was not
measured on the test set yet thereby is: it is a look that counts.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from pneumo_tasks.dataset.sample import first_of_each
from pneumo_tasks.dataset.snapshots import test_rows
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.evaluation.explanations import Heat, grad_cam, under_heat
from pneumo_tasks.evaluation.looks import record_look
from pneumo_tasks.evaluation.probes.shortcuts import FrameGauge
from pneumo_tasks.evaluation.scoring import StoredModel, read_images, score_on_test_set
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.framing.affine_maps import BOX, FILM_EDGE, SIDE
from pneumo_tasks.training.framing.frames import CORE, EDGE, SQUASH
from pneumo_tasks.training.framing.template import read_template
from pneumo_tasks.training.framing.views import resolve_views
from pneumo_tasks.training.model.artefact import score_images
from pneumo_tasks.training.recipes import find_recipe

TILE = 150
VIEWS = 3  # a strip is as wide as the frame with the most


def main() -> None:
    options = _options()
    settings = Settings.load()
    store = ObjectStore.connect(settings)
    gauge = FrameGauge(read_template(store))
    found, strips = [], []
    for run_id in options.runs:
        facts, rows = measure(settings, store, gauge, run_id, options.films)
        found.append(facts)
        strips.append(rows)
    if options.panel:
        Image.fromarray(np.concatenate([np.concatenate(rows, 1) for rows in zip(*strips, strict=True)])).save(
            options.panel
        )
    print(json.dumps(found, indent=1))


def measure(
    settings: Settings, store: ObjectStore, gauge: FrameGauge, run_id: str, count: int
) -> tuple[dict[str, Any], list[Any]]:
    """How much the model looks at the lungs' box and needs it, and one strip of pictures a film."""
    candidate = read_candidate(store, run_id)
    summary = snapshot_summary(store, candidate.snapshot_id)
    record_look(store, summary.test_set_id, run_id, "candidate", candidate.sha256)
    rows = test_rows(store, candidate.snapshot_id).reset_index(drop=True)
    films = list(read_images(settings, store, rows))
    geometry = gauge.measure(films)[0].geometry
    chosen = first_of_each(rows, "label", count // 2).index
    with StoredModel(store, layout.run(run_id, "candidate.keras"), candidate.sha256) as stored:
        heats = grad_cam(stored.load(), [films[number] for number in chosen])
        shown = {
            "the film": score_on_test_set(settings, stored, rows),
            **_scores_of_parts(stored.load(), films, geometry),
        }
    ill = (rows["label"] == LABELS[1]).to_numpy(bool)
    needed = {name: float(roc_auc_score(ill, scores)) for name, scores in shown.items()}
    views = resolve_views(settings, store, find_recipe(candidate.recipe), candidate.snapshot_id)
    facts = _attention([view.name for view in views], heats, geometry[chosen])
    return (
        {"recipe": candidate.recipe, "run_id": run_id, "films": len(heats), **facts, "auc": needed},
        [_strip(heat) for heat in heats],
    )


def _attention(views: list[str], heats: list[Heat | None], geometry: Any) -> dict[str, Any]:
    """The share of the Grad-CAM inside the box, of all views and of each, beside the share of the area."""
    masses, areas = [], []
    for heat, parameters in zip(heats, geometry, strict=True):
        if heat is None:
            continue
        inside = np.stack([inside_box(view, parameters, heat.maps.shape[1]) for view in views])
        masses.append(np.stack([(heat.maps * inside).sum((1, 2)), heat.maps.sum((1, 2))]))
        areas.append(inside.mean((1, 2)))
    held, all_of_it = np.stack(masses, 1)  # of each film and view
    return {
        "films_with_a_map": len(masses),
        "share_of_attention_in_the_box": float((held.sum(1) / all_of_it.sum(1)).mean()),
        "smallest_share": float((held.sum(1) / all_of_it.sum(1)).min()),
        "share_of_the_area_in_the_box": float(np.mean(areas)),
        "by_view": {
            view: {"attention": round(float(share), 3), "area": round(float(area), 3)}
            for view, share, area in zip(
                views, held.sum(0) / all_of_it.sum(0), np.mean(areas, 0), strict=True
            )
        },
    }


def _scores_of_parts(model: Any, films: list[Grey], geometry: Any) -> dict[str, Any]:
    """What the model says about the films with the box alone, and with all but the box."""
    boxes = [
        _at_size(inside_box(SQUASH.name, parameters, SIDE), film)
        for film, parameters in zip(films, geometry, strict=True)
    ]
    parts = {"the box alone": boxes, "all but the box": [~box for box in boxes]}
    return {name: score_images(model, map(_kept, films, kept)) for name, kept in parts.items()}


def _at_size(box: Any, film: Grey) -> Any:
    size = (film.shape[1], film.shape[0])
    return np.asarray(Image.fromarray(box.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0


def _kept(film: Grey, kept: Any) -> Grey:
    """The rest takes the mean of what is kept, which tells nothing of what was there."""
    return np.where(kept, film, round(float(film[kept].mean()))).astype(np.uint8)


def inside_box(view: str, parameters: Any, side: int) -> Any:
    """Which cells of a map over a view of the film lie in the lungs' box, 0 or 1, (side, side)."""
    if view == "standard":
        return np.ones((side, side))  # it is cut to the box
    margin = EDGE / SIDE if view == CORE.name else 0.0
    share = margin + (1 - 2 * margin) * (np.arange(side) + 0.5) / side
    cells = (2 * share - 1) * FILM_EDGE
    x, y = np.meshgrid(cells, cells)
    a, b, c, d, e, f = parameters
    template = np.linalg.solve([[a, b], [d, e]], np.stack([x.ravel() - c, y.ravel() - f]))
    u, v = (template / FILM_EDGE + 1) * SIDE / 2
    left, right, top, bottom = BOX
    return ((u >= left) & (u < right) & (v >= top) & (v < bottom)).reshape(side, side).astype(float)


def _strip(heat: Heat | None) -> Any:
    """The views of a film side by side, the attention in orange."""
    blank = np.zeros((TILE, TILE, 3), np.uint8)
    views = [] if heat is None else zip(heat.seen, heat.maps, strict=True)
    tiles = [np.asarray(under_heat(Image.fromarray(seen).resize((TILE, TILE)), cam)) for seen, cam in views]
    return np.concatenate([*tiles, *[blank] * VIEWS][:VIEWS], axis=1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="run ids with a candidate")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--panel", type=Path, help="write the pictures here, a film a line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
