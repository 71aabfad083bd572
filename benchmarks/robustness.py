"""What each model loses on the test set when its films are altered in ways that change no diagnosis.

Takes runs of a bucket that is there already (PNEUMO_S3_ENDPOINT and so on). A run whose model was not
measured on the test set yet thereby is: it is a look that counts.
"""

import argparse
import json
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pneumo_tasks.dataset.snapshots import test_rows
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.evaluation.looks import record_look
from pneumo_tasks.evaluation.probes.robustness import ALTERATIONS, Altered, measure_robustness
from pneumo_tasks.evaluation.scoring import StoredModel, read_images
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.model.artefact import score_images

WORST = 0.01  # a fall of the AUC that is still none


def main() -> None:
    options = _options()
    settings = Settings.load()
    store = ObjectStore.connect(settings)
    found = {run_id: measure(settings, store, run_id) for run_id in options.runs}
    if options.json:
        shown = {
            run_id: {"recipe": recipe, "rows": [row.model_dump() for row in rows]}
            for run_id, (recipe, rows) in found.items()
        }
        print(json.dumps(shown, indent=1))
        return
    for run_id, (recipe, rows) in found.items():
        print(f"\n{recipe} ({run_id})")
        for row in rows:
            told = "" if row.fall <= WORST else "  falls"
            print(f"  {row.alteration:22} AUC {row.auc:.4f}  {row.fall:+.4f}{told}")


def measure(settings: Settings, store: ObjectStore, run_id: str) -> tuple[str, list[Altered]]:
    candidate = read_candidate(store, run_id)
    summary = snapshot_summary(store, candidate.snapshot_id)
    record_look(store, summary.test_set_id, run_id, "candidate", candidate.sha256)
    rows = test_rows(store, candidate.snapshot_id)
    films, ill = list(read_images(settings, store, rows)), (rows["label"] == LABELS[1]).to_numpy(bool)
    with StoredModel(store, layout.run(run_id, "candidate.keras"), candidate.sha256) as stored:
        model: Any = stored.load()
        return candidate.recipe, measure_robustness(
            lambda given: score_images(model, given), films, ill, ALTERATIONS
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="run ids with a candidate")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
