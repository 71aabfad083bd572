"""A recipe of two networks on the same frozen layers: what is exported is one of them, or their mean."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.evaluation.kept_features import score_kept_features
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.export.exporting import export_candidate
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.films import read_image
from pneumo_tasks.training.fitting import cross_fitted_head
from pneumo_tasks.training.fitting.fine_tuning import fine_tune
from pneumo_tasks.training.fitting.head import train_head
from pneumo_tasks.training.fitting.stage_choice import choose_stage
from pneumo_tasks.training.fitting.strategies import strategy_of
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.model.artefact import load_artefact, score_images
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.heads import LOGIT, TUNED_LOGIT
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import Exports, Recipe
from pneumo_tasks.training.recipes import find_recipe
from tests.training.conftest import RUN, SNAPSHOT, write_snapshot

RECIPE = "vgg16-head-and-block5"


@pytest.fixture
def two(small: Settings, small_recipe: Callable[..., Recipe]) -> Settings:
    """The recipe at 48 pixels, without the aligned view, with one copy of a film."""
    small_recipe("small-two", RECIPE, frame="unaligned", variants=1)
    return small.model_copy(update={"recipe": "small-two"})


@pytest.mark.parametrize("exports", ["head", "fine_tuned", "mean"])
def test_the_file_says_what_the_cached_path_of_what_is_exported_says(
    two: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: Exports
) -> None:
    monkeypatch.setattr(  # which of the three is better is what test_stage_choice.py asks
        cross_fitted_head,
        "choose_stage",
        lambda *given: choose_stage(*given).model_copy(update={"exported": exports}),
    )
    rows = write_snapshot(store, images=30, shards=1)
    # Two views of each film, and one copy of the whole film.
    assert extract_features(two, store, SNAPSHOT, "shard0").computed == 90
    train_head(two, store, RUN, SNAPSHOT)
    assert fine_tune(two, store, RUN, SNAPSHOT).exports == exports
    export_candidate(two, store, RUN, SNAPSHOT)
    candidate = read_candidate(store, RUN)
    assert (candidate.parity or 0) < 1e-4

    path = tmp_path / "model.keras"
    path.write_bytes(store.read(layout.run(RUN, "candidate.keras")))
    model, validation = load_artefact(path), rows[rows["split"] == "validation"]
    films = [read_image(two, store, key, sha) for key, sha in validation[["key", "sha256"]].to_numpy()]
    said = score_images(model, films)
    held_out = pd.read_parquet(io.BytesIO(store.read(layout.run(RUN, "held_out_scores.parquet"))))
    if exports == "head":
        assert len(held_out) == len(rows)  # each judged by the head of the other folds
    else:
        np.testing.assert_allclose(held_out["probability"], said, atol=1e-4)
    kept = score_kept_features(two, store, candidate, model, validation.assign(snapshot=SNAPSHOT))
    np.testing.assert_allclose(kept, said, atol=1e-4)
    if exports == "mean":
        np.testing.assert_allclose(said, mean_of_both(model, films), atol=1e-4)
        # The head of the mean is the one that never saw the validation films.
        with np.load(io.BytesIO(store.read(layout.run(RUN, "head/held_out.npz")))) as held_out_head:
            for number, array in enumerate(model.get_layer(LOGIT).get_weights()):
                np.testing.assert_array_equal(array, held_out_head[f"{LOGIT}.{number}"])


def mean_of_both(model: Any, films: list[Any]) -> Any:
    """From the two logits of each view, as a reader of the graph would compute it."""
    import keras

    both = keras.Model(model.inputs, [model.get_layer(name).output for name in (LOGIT, TUNED_LOGIT)])
    told = [both.predict_on_batch(film[None, ..., None]) for film in films]
    assert all(np.abs(head - tuned).max() > 1e-3 for head, tuned in told)
    return expit([np.mean([head.mean(), tuned.mean()]) for head, tuned in told])


def test_the_second_network_starts_from_the_backbone_s_own_weights(
    small_recipe: Callable[..., Recipe],
) -> None:
    recipe = small_recipe("small-two", RECIPE)
    weights = BackboneWeights("vgg16", "random", "0" * 64, True, None)
    network = build_network(recipe, weights, (SQUASH,), seed=7).answering("fine_tuned")
    for name in ("block5_conv1", "block5_conv3"):
        layer = network.part(("block4_pool",), "tuned_block5_pool", "block5_pool").get_layer
        for own, second in zip(layer(name).get_weights(), layer(f"tuned_{name}").get_weights(), strict=True):
            np.testing.assert_array_equal(own, second)
    assert recipe.fine_tuning is not None
    network.thaw(recipe.fine_tuning)
    trained = {layer.name for layer in network.whole.layers if layer.trainable and layer.weights}
    convolutions = {f"tuned_block5_conv{number}" for number in (1, 2, 3)}
    assert {name for name in trained if "dropout" not in name} == {*convolutions, "tuned_logit"}


def test_a_cross_fitted_head_is_not_fine_tuned_from_itself() -> None:
    recipe = find_recipe(RECIPE)
    assert recipe.fine_tuning is not None
    stage = dataclasses.replace(recipe.fine_tuning, starts="head")
    place: Any = SimpleNamespace(recipe=dataclasses.replace(recipe, fine_tuning=stage))
    with pytest.raises(BadConfiguration, match="beside it, not from it"):
        strategy_of(recipe).fine_tune(place, stage)
