"""The default recipe on small drawn films: from features to a file that serves by itself."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks import layout
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.evaluation.serving import check_serving
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import Settings
from pneumo_tasks.training import framing
from pneumo_tasks.training.artefact import load_artefact, score_images
from pneumo_tasks.training.candidate import read_candidate
from pneumo_tasks.training.features import extract_features
from pneumo_tasks.training.films import read_image
from pneumo_tasks.training.fine_tuning import fine_tune_block5
from pneumo_tasks.training.frames import SQUASH
from pneumo_tasks.training.head import train_head
from pneumo_tasks.training.onnx_export import export_onnx
from pneumo_tasks.training.recipes import Recipe
from pneumo_tasks.training.standard_frame import standard_view
from pneumo_tasks.training.workplace import prepare
from tests.training.aligned import chests
from tests.training.conftest import RUN, SNAPSHOT, write_snapshot


@pytest.fixture
def standard(
    small: Settings, small_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The default recipe at 48 pixels; its alignment takes two steps, which changes no law tested here."""
    small_recipe("small-standard", "vgg16-standard-frame")
    template = np.stack(chests(2)[0]).mean(0)[::4, ::4].astype(np.float32)
    aligned = dataclasses.replace(standard_view(template, iterations=2), varied=False)
    monkeypatch.setitem(framing.FRAMES, "both", lambda *_: (aligned, SQUASH))
    return small.model_copy(update={"recipe": "small-standard"})


def _train(settings: Settings, store: ObjectStore) -> None:
    for shard in ("shard0", "shard1"):
        extract_features(settings, store, SNAPSHOT, shard)
    train_head(settings, store, RUN, SNAPSHOT)
    fine_tune_block5(settings, store, RUN, SNAPSHOT)


def test_the_file_serves_alone_what_the_cached_path_says_of_both_views(
    standard: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    rows = write_snapshot(store)
    _train(standard, store)
    candidate = read_candidate(store, RUN)
    assert set(candidate.frame) == {"standard", "squash"}
    assert (candidate.parity or 0) < 1e-4

    scores = pd.read_parquet(io.BytesIO(store.read(layout.run(RUN, "fine_tune/validation_scores.parquet"))))
    assert sorted(scores["sha256"]) == sorted(rows["sha256"])  # every film, each judged where it was held out
    judged = store.read_json(layout.run(RUN, "head/history.json"))["cross_fitting"]
    assert (judged["folds"], judged["films"], judged["examples"]) == (5, 40, 120)
    assert 0 <= judged["block_folds"]["auc"] <= judged["patient_folds"]["auc"] <= 1

    path = tmp_path / "model.keras"
    path.write_bytes(store.read(layout.run(RUN, "candidate.keras")))
    films = [
        read_image(standard, store, key, digest) for key, digest in rows[["key", "sha256"]].to_numpy()[:6]
    ]
    answers = score_images(load_artefact(path), films)
    shown = {
        str(n): (film, float(answer)) for n, (film, answer) in enumerate(zip(films, answers, strict=True))
    }
    served = check_serving(path, shown)
    assert served.loads, served.error
    assert served.odd_films_answered == served.odd_films
    assert (served.parity or 1) < 1e-3 or served.parity == 0
    assert export_onnx(path, tmp_path / "model.onnx", [*films, *chests(2)[0]]) < 1e-3


def test_validation_films_get_copies_too_and_the_aligned_view_none(
    standard: Settings, store: ObjectStore
) -> None:
    rows = write_snapshot(store, images=14)
    for shard in ("shard0", "shard1"):
        extract_features(standard, store, SNAPSHOT, shard)
        assert extract_features(standard, store, SNAPSHOT, shard)["computed"] == 0
    place = prepare(standard, store, RUN, SNAPSHOT)
    examples = place.every_example(("pooled",))
    assert len(examples) == 3 * len(rows)
    assert list(examples.variant) == [0] * 28 + [1] * 14
    validation = place.examples("validation", ("pooled",))
    assert set(validation.variant) == {0}


def test_two_views_are_judged_by_the_mean_of_their_logits(standard: Settings, store: ObjectStore) -> None:
    rows = write_snapshot(store, images=14)
    place = prepare(standard, store, RUN, SNAPSHOT)
    films = [
        read_image(standard, store, key, digest) for key, digest in rows[["key", "sha256"]].to_numpy()[:3]
    ]
    batch = [film for film in films if film.shape == films[1].shape]
    both = place.network.part(("image",), "head_logit").predict_on_batch(np.stack(batch)[..., None])
    one = place.network.whole.predict_on_batch(np.stack(batch)[..., None])[:, 0]
    mean = both.reshape(2, len(batch)).mean(0)
    np.testing.assert_allclose(one, 1 / (1 + np.exp(-mean)), atol=1e-6)


def test_a_head_that_is_not_linear_cannot_be_cross_fitted(
    small: Settings, store: ObjectStore, small_recipe: Callable[..., Recipe]
) -> None:
    small_recipe("small-odd", "vgg16-standard-frame", frame="squash", head_kind="article")
    settings = small.model_copy(update={"recipe": "small-odd"})
    write_snapshot(store, images=20)
    for shard in ("shard0", "shard1"):
        extract_features(settings, store, SNAPSHOT, shard)
    with pytest.raises(BadConfiguration, match="linear head"):
        train_head(settings, store, RUN, SNAPSHOT)
