import numpy as np
import pytest

from pneumo_tasks.errors import BadData, CorruptArtefact
from pneumo_tasks.evaluation import evaluation as subject
from pneumo_tasks.evaluation import record
from pneumo_tasks.evaluation.comparison import ChampionRef
from pneumo_tasks.evaluation.looks import count_looks
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import sha256
from tests.evaluation.story import IMAGES, SNAPSHOT, TEST_SET, Story
from tests.promotion.judging import judge


def test_the_exported_artefact_is_measured_on_the_test_images(settings: Settings, story: Story) -> None:
    run_id = story.run("first")
    reference = subject.evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    found = record.read_evaluation(story.store, run_id)
    assert found.test.images == IMAGES
    assert found.test.auc == 1.0
    assert found.champion is None
    assert (found.operating_point.validation.recall or 0) >= settings.target_recall
    assert found.synthetic
    assert reference.version == found.version
    scores = record.read_test_scores(story.store, record.read_evaluation(story.store, run_id))
    assert len(scores) == IMAGES
    assert ((scores["probability"] >= found.test.threshold) == scores["called"]).all()


def test_the_champion_is_measured_on_the_same_images_at_its_own_threshold(
    settings: Settings, story: Story
) -> None:
    body = story.models["weak"]
    story.store.put(layout.model("old", "model.keras"), body)
    champion = ChampionRef(
        version="old", sha256=sha256(body), threshold=0.4, run_id="before", snapshot_id=SNAPSHOT
    )
    run_id = story.run("second")
    subject.evaluate_candidate(settings, story.store, run_id, SNAPSHOT, champion)
    found = record.read_evaluation(story.store, run_id)
    assert found.champion is not None
    assert found.champion.test.threshold == 0.4
    assert found.champion.test.auc < found.test.auc
    scores = record.read_test_scores(story.store, record.read_evaluation(story.store, run_id))
    assert not np.allclose(scores["probability"], scores["champion_probability"])


def test_every_run_is_one_look_at_the_test_set_however_often_it_is_tried(
    settings: Settings, story: Story
) -> None:
    for run_id in ("first", "first", "second"):
        subject.evaluate_candidate(settings, story.store, story.run(run_id), SNAPSHOT, None)
    assert count_looks(story.store, TEST_SET) == 2
    assert record.read_evaluation(story.store, "second").looks == 2


def test_a_champion_is_asked_only_about_films_that_its_own_evaluation_has_not(
    settings: Settings, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    promote_model(settings, story.store, judge(settings, story, "first"))
    judge(settings, story, "second", "better")
    digest = sha256(story.models["good"])[:12]
    assert f"{digest}: {IMAGES} films scored before, 0 now" in caplog.text


def test_forged_scores_of_the_champion_are_not_believed(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    judge(settings, story, "honest", "better")
    truth = record.read_evaluation(story.store, "honest").champion
    first = record.read_evaluation(story.store, "first")
    key = layout.evidence("first", "test_scores", first.scores_sha256, "parquet")
    forged = record.read_test_scores(story.store, first)
    forged["probability"] = 1 - forged["probability"]
    story.store.put(key, forged.to_parquet(index=False))
    judge(settings, story, "forged", "better")
    assert record.read_evaluation(story.store, "forged").champion == truth


def test_a_changed_artefact_is_refused(settings: Settings, story: Story) -> None:
    run_id = story.run("first")
    body = bytearray(story.models["good"])
    body[len(body) // 2] ^= 1
    story.store.put(layout.run(run_id, "candidate.keras"), bytes(body))
    with pytest.raises(CorruptArtefact, match=r"candidate\.keras"):
        subject.evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)


def test_a_changed_test_image_is_refused(settings: Settings, story: Story) -> None:
    key = story.rows["key"][3]
    story.store.put(key, story.store.read(story.rows["key"][4]))
    with pytest.raises(BadData, match=f"changed after it was accepted at {key}"):
        subject.evaluate_candidate(settings, story.store, story.run("first"), SNAPSHOT, None)


def test_another_threshold_is_another_version(settings: Settings, story: Story) -> None:
    run_id = story.run("first")
    first = subject.evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None).version
    other = settings.model_copy(update={"target_recall": 0.5})
    assert subject.evaluate_candidate(other, story.store, run_id, SNAPSHOT, None).version != first
