"""The choice of what is exported: does fine-tuning, or the mean of both, better what the head says?

Asked on the validation patients, of a head and a fine-tuned network that never saw them: as the films
are, and reframed. The second is what validation alone is blind to: fine-tuning that has learned the
framing gains on films that are framed alike, and loses on the others.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import roc_auc_score

from pneumo_tasks.dataset.sample import first_of_each
from pneumo_tasks.settings import LABELS
from pneumo_tasks.training.features.examples import mean_of
from pneumo_tasks.training.films import read_films
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.framing.reframing import REFRAMINGS
from pneumo_tasks.training.model.artefact import score_images
from pneumo_tasks.training.recipe import Exports

FILMS_A_CLASS = 100
ASKED = ("stretched by 25 %", "compressed by 25 %")

Scores = NDArray[np.float64]


class StageAuc(BaseModel):
    """AUC on validation films: as they are, and reframed in the ways of ASKED."""

    model_config = ConfigDict(frozen=True)

    validation: float
    reframed: float


class StageChoice(BaseModel):
    """What was compared and what was exported; ``mean`` averages the logits of the two others."""

    model_config = ConfigDict(frozen=True)

    head: StageAuc
    fine_tuned: StageAuc
    mean: StageAuc
    films: int
    reframed_films: int
    exported: Exports
    rule: str = "what is exported instead of the head is better on reframed films, and no worse as they are"


def choose_stage(place: Workplace, head: Scores, tuned: Scores, before: Scores, after: Scores) -> StageChoice:
    """``head`` and ``tuned`` score every validation film, ``before`` and ``after`` the reframed sample."""
    rows = place.rows[place.rows["split"] == "validation"]
    ill, sample_ill = (rows["label"] == LABELS[1]).to_numpy(bool), _reframed_labels(place)

    def judged(whole: Scores, reframed: Scores) -> StageAuc:
        return StageAuc(
            validation=float(roc_auc_score(ill, whole)), reframed=float(roc_auc_score(sample_ill, reframed))
        )

    found: dict[Exports, StageAuc] = {
        "head": judged(head, before),
        "fine_tuned": judged(tuned, after),
        "mean": judged(mean_of(head, tuned), mean_of(before, after)),
    }
    # In the order of what serving costs: of equals the head stays.
    allowed = [name for name, auc in found.items() if auc.validation >= found["head"].validation]
    return StageChoice(
        **found,
        films=len(rows),
        reframed_films=len(sample_ill),
        exported=max(allowed, key=lambda name: found[name].reframed),
    )


def score_reframed(place: Workplace) -> Scores:
    """What the network, as it is now, says of the reframed sample: one kind of reframing after another."""
    films = [film for batch in read_films(place.settings, place.store, _sample(place), 64) for film in batch]
    model: Any = place.network.whole
    parts = [score_images(model, (REFRAMINGS[name](film) for film in films)) for name in ASKED]
    return np.concatenate(parts).astype(np.float64)


def score_reframed_auc(place: Workplace) -> float:
    """The AUC of the network, as it is now, on the reframed sample."""
    return float(roc_auc_score(_reframed_labels(place), score_reframed(place)))


def _reframed_labels(place: Workplace) -> NDArray[np.bool_]:
    return np.tile((_sample(place)["label"] == LABELS[1]).to_numpy(bool), len(ASKED))


def _sample(place: Workplace) -> Any:
    return first_of_each(place.rows[place.rows["split"] == "validation"], "label", FILMS_A_CLASS)
