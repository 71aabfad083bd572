from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import weights_digest
from pneumo_tasks.training.features.examples import Examples
from pneumo_tasks.training.fitting.epochs import LAST, Fit, Training, fit, rate_of
from pneumo_tasks.training.recipe import Stage
from tests.training.synthetic import drawn_examples, small_model

STAGE = Stage(("any",), epochs=4, rate=1e-2)


@pytest.fixture
def splits(tmp_path: Path) -> tuple[Examples, Examples]:
    return drawn_examples(tmp_path, 96), drawn_examples(tmp_path, 40, seed=1)


def _fit(splits: tuple[Examples, Examples], store: ObjectStore | None, **changes: object) -> tuple[str, Fit]:
    model = small_model()
    given = {"stage": STAGE, "seed": 7, "store": store, "run_id": "r"} | changes
    result = fit(Training("head", model, train=splits[0], validation=splits[1], **given))  # type: ignore[arg-type]
    return weights_digest(model), result


def _checkpoints(store: ObjectStore) -> list[str]:
    return [entry.key for entry in store.list_objects(layout.run("r", "head/checkpoints/"))]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(splits) -> None:
    assert _fit(splits, None)[0] == _fit(splits, None)[0]
    assert _fit(splits, None)[0] != _fit(splits, None, seed=8)[0]


def test_another_layout_of_the_files_gives_the_same_validation_metrics(splits, tmp_path: Path) -> None:
    _, usual = _fit(splits, None)
    _, other = _fit((drawn_examples(tmp_path, 96, files=5), splits[1]), None)
    assert [e["val_auc"] for e in other.epochs] == pytest.approx(
        [e["val_auc"] for e in usual.epochs], abs=1e-3
    )


def test_a_training_goes_on_from_its_last_checkpoint(splits, store: ObjectStore) -> None:
    undisturbed, whole = _fit(splits, None)
    _fit(splits, store)
    assert [Path(key).stem for key in _checkpoints(store)] == ["0003", "0004"]
    store.delete(_checkpoints(store)[-1])
    resumed, result = _fit(splits, store)
    assert resumed == undisturbed
    assert [e["loss"] for e in result.epochs[1:]] == [e["loss"] for e in whole.epochs[1:]]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(splits, store: ObjectStore) -> None:
    undisturbed, _ = _fit(splits, store)
    newest = _checkpoints(store)[-1]
    store.put(newest, store.read(newest)[:-200])
    assert _fit(splits, store)[0] == undisturbed


def test_a_checkpoint_of_another_training_is_not_used(splits, store: ObjectStore) -> None:
    _fit(splits, store)
    fresh, _ = _fit(splits, None, seed=8)
    assert _fit(splits, store, seed=8)[0] == fresh


def test_a_finished_training_is_not_repeated(splits, store: ObjectStore) -> None:
    _, first = _fit(splits, store)
    _, again = _fit(splits, store)
    assert again.epochs == first.epochs


def test_patience_ends_a_training_and_the_best_epoch_is_kept(splits) -> None:
    stage = Stage(("any",), epochs=30, rate=0.5, patience=2)
    _, result = _fit(splits, None, stage=stage)
    assert len(result.epochs) - 1 == result.best_epoch + 2 < 30


def test_the_event_log_holds_every_epoch(splits, store: ObjectStore, tmp_path: Path) -> None:
    import tensorflow as tf

    _, result = _fit(splits, store)
    (event_log,) = store.list_objects(layout.run("r", "tensorboard/head/"))
    path = tmp_path / "events.out.tfevents.pneumo"
    path.write_bytes(store.read(event_log.key))
    seen = {
        (value.tag, event.step): float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    for record in result.epochs[1:]:
        assert seen["val_auc", record["epoch"]] == pytest.approx(record["val_auc"])
        assert seen["loss", record["epoch"]] == pytest.approx(record["loss"])


def test_a_stage_may_keep_its_last_epoch_whatever_validation_says(splits) -> None:
    stage = Stage(("any",), epochs=3, rate=0.5, keeps="last", optimizer="AdamW", smoothing=0.05)
    _, result = _fit(splits, None, stage=stage)
    assert result.best_epoch == 3
    assert result.history()["selection"] == LAST


def test_a_cosine_rate_may_fall_to_nothing() -> None:
    stage = Stage(("any",), epochs=4, rate=1e-3, decay="cosine to 0")
    rates = [rate_of(stage, epoch) for epoch in range(1, 5)]
    assert np.mean(rates) == pytest.approx(5e-4)
    assert rates[-1] < 4e-5


def test_a_cosine_rate_falls_to_a_tenth() -> None:
    stage = Stage(("any",), epochs=5, rate=1e-3, decay="cosine")
    rates = [rate_of(stage, epoch) for epoch in range(1, 6)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-4)
    assert np.all(np.diff(rates) < 0)
