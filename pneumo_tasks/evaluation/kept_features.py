"""Scores from kept features: what a model says of films that went through its frozen layers before."""

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from pneumo_tasks.errors import FinalError
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import Candidate
from pneumo_tasks.training.features.examples import score
from pneumo_tasks.training.features.source import FeatureSource
from pneumo_tasks.training.framing.views import resolve_views
from pneumo_tasks.training.hardware import chosen_precision
from pneumo_tasks.training.model.backbones import resolve_weights
from pneumo_tasks.training.model.heads import LOGIT, MEAN_LOGIT, TUNED_LOGIT
from pneumo_tasks.training.recipe import Exports, Recipe
from pneumo_tasks.training.recipes import chosen_recipe, find_recipe

log = logging.getLogger(__name__)

# What the layer is called that judges a view; the mean of two networks holds the layers of both.
_LOGITS: dict[Exports, str] = {"mean": MEAN_LOGIT, "fine_tuned": TUNED_LOGIT, "head": LOGIT}
_SPLIT = "unseen"  # of no snapshot: its films have no drawn copies
_ALIKE = {str(label): 1.0 for label in LABELS}


def score_kept_features(
    settings: Settings, store: ObjectStore, candidate: Candidate, model: Any, rows: pd.DataFrame
) -> NDArray[np.float64] | None:
    """The probability of each of ``rows`` from the features of this run; None where that is not possible.

    It is where the model was exported and checked (its parity) from features of the same backbone, views and
    size, and those of all these films are there. ``rows`` are training rows of the snapshot ``snapshot``.
    """
    try:
        source = _source(settings, store, candidate, str(rows["snapshot"].iloc[0]))
        if source is None:
            return None
        part, cuts, says_logit = _after(model, source.recipe)
        examples = source.examples(rows.assign(split=_SPLIT), _SPLIT, cuts, _ALIKE)
    except (FinalError, ValueError) as error:
        log.info("%s is asked about the films themselves: %s", candidate.version, error)
        return None
    views = score(part, examples).astype(np.float64).reshape(len(source.views), -1)
    if says_logit:
        return np.asarray(expit(views.mean(0)), np.float64)
    return views[0] if len(views) == 1 else None


def _source(
    settings: Settings, store: ObjectStore, candidate: Candidate, snapshot_id: str
) -> FeatureSource | None:
    """The features that the candidate can be asked from, were they extracted; None for another network."""
    recipe = find_recipe(candidate.recipe)
    if not _same_network(chosen_recipe(settings), recipe) or candidate.parity is None:
        return None
    weights = resolve_weights(settings, store, recipe.backbone)
    if weights.sha256 != candidate.backbone.sha256 or recipe.image_size != candidate.image_size:
        return None
    views = resolve_views(settings, store, recipe, snapshot_id)
    if {view.name: view.sha256 for view in views} != candidate.frame:
        return None
    return FeatureSource(settings, store, recipe, weights, views, chosen_precision(settings))


def _same_network(ours: Recipe, theirs: Recipe) -> bool:
    """Whether what this run extracted is of the other recipe's frozen network, and has all its cuts."""
    alike = (ours.backbone, ours.image_size, ours.frame) == (theirs.backbone, theirs.image_size, theirs.frame)
    return alike and set(theirs.needed_cuts) <= set(ours.cuts)


def _after(model: Any, recipe: Recipe) -> tuple[Any, tuple[str, ...], bool]:
    """The part of the model behind its cuts, those cuts, and whether it ends with the logit of each view."""
    import keras

    names = {layer.name for layer in model.layers}
    exports: Exports = next((each for each, logit in _LOGITS.items() if logit in names), "head")
    cuts = recipe.cuts_of(exports)
    given = [model.get_layer(name).output for name in cuts]
    says_logit = _LOGITS[exports] in names
    end = model.get_layer(_LOGITS[exports]).output if says_logit else model.outputs[0]
    return keras.Model(given if len(given) > 1 else given[0], end), cuts, says_logit
