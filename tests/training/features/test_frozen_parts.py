from collections.abc import Callable

import numpy as np
import pytest

from pneumo_tasks.training.features import frozen_parts
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.framing.frames import CORE, SQUASH
from pneumo_tasks.training.framing.standard_frame import standard_view
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.recipe import FRAME, Recipe
from tests.training.aligned import chests


def test_the_frozen_network_is_built_once_for_all_views_and_copies(
    small_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, build = [], frozen_parts.build_network
    monkeypatch.setattr(frozen_parts, "build_network", lambda *given: built.append(1) or build(*given))
    parts = FrozenParts(small_recipe(), BackboneWeights("vgg16", "random", "0" * 64, True, None))
    bodies = [parts.body(view, "float32", FRAME, ("pooled",)) for view in (SQUASH, CORE, SQUASH)]
    other = parts.body(SQUASH, "float32", FRAME, ("block5_pool", "pooled"))
    assert len(built) == 1
    assert bodies[0] is bodies[1] is bodies[2] is not other
    assert parts.framer(CORE) is parts.framer(CORE) is not parts.framer(SQUASH)


def test_what_is_framed_for_features_is_what_the_saved_graph_frames(
    small_recipe: Callable[..., Recipe],
) -> None:
    import keras

    films, recipe = np.stack(chests(2)[0])[..., None], small_recipe()
    view = standard_view(np.random.default_rng(0).random((56, 56), np.float32), rounds=(1, 1))
    parts = FrozenParts(recipe, BackboneWeights("vgg16", "random", "0" * 64, True, None))
    image = keras.Input((None, None, 1), dtype="uint8")
    saved = keras.Model(image, view.build(image, recipe.image_size)).predict_on_batch(films)
    found = parts.framer(view)(films)
    assert found.shape == (4, recipe.image_size, recipe.image_size, 1)
    np.testing.assert_array_equal(found[..., 0], saved)
