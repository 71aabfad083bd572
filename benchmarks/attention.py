"""Where two models look: Grad-CAM of test films, and the share of it inside the lungs' box.

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
import pandas as pd
from PIL import Image

from pneumo_tasks import layout
from pneumo_tasks.dataset.snapshots import snapshot_summary, test_rows
from pneumo_tasks.evaluation.explanations import Heat, grad_cam
from pneumo_tasks.evaluation.looks import record_look
from pneumo_tasks.evaluation.scoring import StoredModel, read_images
from pneumo_tasks.evaluation.shortcuts import FrameGauge
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.alignment import BOX, GRID, SIDE
from pneumo_tasks.training.candidate import read_candidate
from pneumo_tasks.training.template import read_template

TILE = 150


def main() -> None:
    options = _options()
    settings = Settings.load()
    store = ObjectStore.connect(settings)
    found, strips = [], []
    for run_id in options.runs:
        facts, rows = measure(store, run_id, options.films)
        found.append(facts)
        strips.append(rows)
    if options.panel:
        Image.fromarray(np.concatenate([np.concatenate(rows, 1) for rows in zip(*strips, strict=True)])).save(
            options.panel
        )
    print(json.dumps(found, indent=1))


def measure(store: ObjectStore, run_id: str, count: int) -> tuple[dict[str, Any], list[Any]]:
    """Mean share of the attention inside the lungs' box, and one strip of pictures a film."""
    candidate = read_candidate(store, run_id)
    summary = snapshot_summary(store, candidate.snapshot_id)
    record_look(store, summary.test_set_id, run_id, "candidate", candidate.sha256)
    rows = _chosen(test_rows(store, candidate.snapshot_id), count)
    films = list(read_images(store, rows))
    geometry = FrameGauge(read_template(store)).measure(films)[0].geometry
    with StoredModel(store, layout.run(run_id, "candidate.keras"), candidate.sha256) as stored:
        heats = grad_cam(stored.model, films)
    aligned = "standard" in candidate.frame  # then it is the first view, and all of it lies in the box
    shares, areas, strips = [], [], []
    for heat, parameters in zip(heats, geometry, strict=True):
        strips.append(_strip(heat))
        box = inside_box(parameters, heat.maps.shape[1]) if heat else None
        if heat is not None and box is not None:
            inside = [np.ones_like(box) if aligned and view == 0 else box for view in range(len(heat.maps))]
            shares.append(float((heat.maps * np.stack(inside)).sum() / heat.maps.sum()))
            areas.append(float(box.mean()))
    facts = {
        "recipe": candidate.recipe,
        "run_id": run_id,
        "films": len(films),
        "films_with_a_map": len(shares),
        "share_of_attention_in_the_box": float(np.mean(shares)),
        "smallest_share": float(np.min(shares)),
        "share_of_the_area_in_the_box": float(np.mean(areas)),
    }
    return facts, strips


def inside_box(parameters: Any, side: int) -> Any:
    """Which cells of a map over the whole film lie in the lungs' box, 0 or 1, (side, side)."""
    centre = (GRID - 1) / 2
    cells = ((np.arange(side) + 0.5) * GRID / side - 0.5 - centre) / centre
    x, y = np.meshgrid(cells, cells)
    a, b, c, d, e, f = parameters
    template = np.linalg.solve([[a, b], [d, e]], np.stack([x.ravel() - c, y.ravel() - f]))
    u, v = (template * centre + centre) * SIDE / GRID
    left, right, top, bottom = BOX
    return ((u >= left) & (u < right) & (v >= top) & (v < bottom)).reshape(side, side).astype(float)


def _chosen(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    ordered = rows.sort_values("sha256")
    return ordered.groupby("label", group_keys=False).head(count // 2).reset_index(drop=True)


def _strip(heat: Heat | None) -> Any:
    """The views of a film side by side, the attention in orange."""
    if heat is None:
        return np.zeros((TILE, 2 * TILE, 3), np.uint8)
    tiles = []
    for seen, cam in zip(heat.seen, heat.maps, strict=True):
        picture = Image.fromarray(seen).resize((TILE, TILE)).convert("RGB")
        mask = Image.fromarray((cam * 150).astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BILINEAR)
        tiles.append(
            np.asarray(Image.composite(Image.new("RGB", picture.size, (255, 120, 0)), picture, mask))
        )
    return np.concatenate([*tiles, np.zeros_like(tiles[0])][:2], axis=1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="run ids with a candidate")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--panel", type=Path, help="write the pictures here, a film a line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
