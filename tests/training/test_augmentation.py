import dataclasses

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.evaluation.probes.texture import texture
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.augmentation import augmented, rows_with_variants
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.features.frozen_pass import FrozenPass
from pneumo_tasks.training.features.keys import pass_of
from pneumo_tasks.training.films import by_size
from pneumo_tasks.training.fitting.workplace import prepare
from pneumo_tasks.training.framing.affine_maps import SIDE
from pneumo_tasks.training.framing.frames import CORE, WHOLE_FILM
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.recipes import find_recipe
from tests.training.conftest import RUN, SNAPSHOT, write_snapshot

FILM = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def test_a_copy_is_a_function_of_the_image_and_its_number() -> None:
    first = augmented(FILM, "a" * 64, 1, "article")
    np.testing.assert_array_equal(first, augmented(FILM.copy(), "a" * 64, 1, "article"))
    assert (first != augmented(FILM, "a" * 64, 2, "article")).any()
    assert (first != augmented(FILM, "b" * 64, 1, "article")).any()
    assert (first.dtype, first.shape) == (FILM.dtype, FILM.shape)


def test_number_0_is_the_film_itself() -> None:
    np.testing.assert_array_equal(augmented(FILM, "a" * 64, 0, "article"), FILM)


def test_some_copies_are_mirrored_and_none_is_turned_far() -> None:
    marked = np.zeros((101, 101), np.uint8)
    marked[48:53, 80:101] = 255
    sides = [augmented(marked, f"{n:064x}", 1, "article")[:, 80:].any() for n in range(40)]
    assert 8 < sum(sides) < 32
    far = [augmented(marked, f"{n:064x}", 1, "article")[:20].any() for n in range(40)]
    assert not any(far)


def test_only_train_films_of_the_rarer_class_are_copied() -> None:
    rows = pd.DataFrame(
        {
            "label": ["NORMAL", "PNEUMONIA", "PNEUMONIA", "NORMAL"],
            "split": ["train", "train", "train", "validation"],
        }
    )
    assert list(rows_with_variants(rows, "article")) == [True, False, False, False]
    assert not rows_with_variants(rows, "none").any()


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(BadConfiguration, match="article"):
        augmented(FILM, "a" * 64, 1, "mixup")


def test_copies_are_cached_and_trained_on_and_validation_has_none(
    small: Settings, store: ObjectStore
) -> None:
    rows = write_snapshot(store, images=14)
    settings = small.model_copy(update={"augmentation": "article", "variants": 2})
    for shard in ("shard0", "shard1"):
        extract_features(settings, store, SNAPSHOT, shard)
        assert extract_features(settings, store, SNAPSHOT, shard).computed == 0
    place = prepare(settings, store, RUN, SNAPSHOT)
    train, validation = (place.examples(split, ("block5_pool",)) for split in ("train", "validation"))
    counts = rows[rows["split"] == "train"]["label"].value_counts()
    assert len(train) == counts.sum() + 2 * counts.min()
    assert set(train.variant) == {0, 1, 2}
    assert set(validation.variant) == {0}
    image = train.image[train.variant == 1][0]
    one, other = (
        train.features(np.flatnonzero((train.image == image) & (train.variant == v)))[0] for v in (0, 1)
    )
    assert np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("kind", ["crops", "shifts", "variety"])
def test_copies_of_every_film_of_training_keep_its_shape_and_differ(kind: str) -> None:
    copies = [augmented(FILM, f"{number:064x}", 1, kind) for number in range(8)]
    assert all((copy.shape, copy.dtype) == (FILM.shape, FILM.dtype) for copy in copies)
    assert len({copy.tobytes() for copy in copies}) == 8
    np.testing.assert_array_equal(copies[0], augmented(FILM.copy(), "0" * 64, 1, kind))
    rows = pd.DataFrame(
        {"label": ["NORMAL", "PNEUMONIA", "PNEUMONIA"], "split": ["train", "train", "validation"]}
    )
    assert list(rows_with_variants(rows, kind)) == [True, True, False]


def test_copies_of_variety_differ_in_texture_band_by_band() -> None:
    smooth = np.add.outer(np.sin(np.arange(SIDE) / 9), np.cos(np.arange(SIDE) / 23))
    film = np.clip(128 + 30 * smooth + np.random.default_rng(1).normal(0, 9, smooth.shape), 0, 255)
    spread = {}
    for kind in ("crops", "variety"):
        copies = [augmented(film.astype(np.uint8), f"{number:064x}", 1, kind) for number in range(40)]
        bands = np.asarray(texture(np.stack(copies).astype(np.float32)))[:, :5]
        spread[kind] = np.std(bands - bands.mean(1, keepdims=True), 0)  # exposure moves all bands alike
    assert (spread["variety"][:2] > spread["crops"][:2]).all()


def test_a_copy_of_a_whole_film_is_drawn_before_the_view_frames_it() -> None:
    recipe = dataclasses.replace(find_recipe("vgg16-standard-frame-variety"), image_size=48)
    parts = FrozenParts(recipe, BackboneWeights("vgg16", "random", "0" * 64, True, None))
    core = dataclasses.replace(CORE, varied=True)
    frozen = FrozenPass.build(parts, core, pass_of(recipe, parts.weights, core, "float32", 1), ("pooled",))
    film = np.random.default_rng(2).integers(0, 256, (90, 70), dtype=np.uint8)
    whole = np.rint(by_size(parts.framer(WHOLE_FILM), [film])[..., 0]).astype(np.uint8)
    drawn = augmented(whole[0], "a" * 64, 1, "variety")
    expected = by_size(parts.framer(core), [drawn])
    np.testing.assert_allclose(frozen.frames([film], ["a" * 64]), expected, atol=1e-3)


def test_a_crop_changes_size_and_aspect_independently() -> None:
    marked = np.full((150, 150), 90, np.uint8)
    marked[55:95, 55:95] = 250
    sizes = []
    for number in range(60):
        bright = (
            augmented(marked, f"{number:064x}", 1, "crops") > augmented(marked, "", 0, "crops").mean() + 40
        )
        sizes.append((bright.any(0).sum(), bright.any(1).sum()))
    across, down = np.array(sizes, float).T
    assert across.max() > 1.25 * across.min()
    assert np.std(across / down) > 0.08
    assert np.corrcoef(across, down)[0, 1] < 0.8
