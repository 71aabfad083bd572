import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.evaluation import evaluation as subject
from pneumo_tasks.evaluation import record
from pneumo_tasks.evaluation.comparison import ChampionRef
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.independence import find_overlap, seen_films
from pneumo_tasks.promotion.deciding.gate import judge
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.evaluation.story import IMAGES, SNAPSHOT, Story
from tests.snapshots import summarise


def frame(*rows: tuple[str, str, str], **columns: object) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["patient", "sha256", "pixel_digest"]).assign(**columns)


def test_a_film_is_seen_by_its_patient_its_bytes_or_its_pixels() -> None:
    training = frame(("patient:1", "a", "A"), ("patient:2", "b", "B"))
    test = frame(
        ("patient:1", "x", "X"), ("patient:8", "b", "Y"), ("patient:9", "z", "B"), ("patient:7", "q", "Q")
    )
    assert seen_films(test, training).tolist() == [True, True, True, False]


def test_a_patient_is_seen_whatever_release_wrote_the_id() -> None:
    training = frame(("patient:0012", "a", "A"), ("North:7", "b", "B"), site=["", "North"])
    test = frame(("patient:12", "x", "X"), ("patient:7", "y", "Y"), site=["", "north"])
    assert seen_films(test, training).all()


def test_pixel_digests_of_an_earlier_release_are_not_compared() -> None:
    training = frame(("patient:1", "a", "A")).rename(columns={"pixel_digest": "pixel_sha256"})
    assert not seen_films(frame(("patient:2", "b", "A")), training).any()


def trained_on(story: Story, snapshot_id: str, test_films: int) -> str:
    """A snapshot of an older model that learned from the first ``test_films`` films of today's test set."""
    rows = story.rows.head(test_films).assign(split="train", fold=1)
    body = rows.to_parquet(index=False)
    story.store.put(layout.dataset(snapshot_id, "training.parquet"), body)
    summary = story.store.read_json(layout.dataset(SNAPSHOT, "summary.json"))
    summary |= {"snapshot_id": snapshot_id}
    story.store.put_json(layout.dataset(snapshot_id, "summary.json"), summary)
    return snapshot_id


def evaluated(settings: Settings, story: Story, snapshot_id: str) -> Evaluation:
    body = story.models["weak"]
    story.store.put(layout.model("old", "model.keras"), body)
    champion = ChampionRef("old", sha256(body), 0.4, "before", snapshot_id)
    subject.evaluate_candidate(settings, story.store, story.run("second"), SNAPSHOT, champion)
    return record.read_evaluation(story.store, "second")


def failed(settings: Settings, found: Evaluation, words: str) -> list[str]:
    return [r.why for r in judge(settings, found) if words in r.name and r.verdict == "fail"]


def test_a_champion_is_not_compared_on_films_that_it_was_trained_on(settings: Settings, story: Story) -> None:
    found = evaluated(settings, story, trained_on(story, "0ld", 24))
    versus = found.champion
    assert versus is not None
    assert versus.overlap is not None
    assert versus.overlap.films == 24
    assert versus.test.images == IMAGES - 24
    assert found.test.images == IMAGES
    assert sum(versus.overlap.unseen.values()) == 12
    seen = set(story.rows["sha256"].head(24))
    assert not seen & {flip.sha256 for flip in versus.flips}
    scores = record.read_test_scores(story.store, record.read_evaluation(story.store, "second"))
    assert scores.loc[scores["sha256"].isin(seen), "champion_probability"].isna().all()
    assert failed(settings, found, "has not seen") == []


def test_a_champion_that_left_too_few_patients_decides_nothing(settings: Settings, story: Story) -> None:
    asked = settings.model_copy(update={"min_test_patients": 7})
    found = evaluated(asked, story, trained_on(story, "0ld", 24))
    assert len(failed(asked, found, "that the champion has not seen")) == 2


def test_a_champion_that_has_seen_every_film_is_compared_on_none(settings: Settings, story: Story) -> None:
    found = evaluated(settings, story, trained_on(story, "0ld", IMAGES))
    versus = found.champion
    assert versus is not None
    assert versus.test.images == 0
    assert set(versus.differences.values()) == {None}
    assert len(failed(settings, found, "against the champion")) == 2
    assert len(failed(settings, found, "that the champion has not seen")) == 2


def test_nobody_is_promoted_over_a_champion_whose_training_rows_are_gone(
    settings: Settings, story: Story
) -> None:
    found = evaluated(settings, story, "g0ne")
    assert found.champion is not None
    assert found.champion.overlap is not None
    assert found.champion.overlap.films is None
    whys = failed(settings, found, "that the champion has not seen")
    assert len(whys) == 2
    assert all("g0ne" in why for why in whys)


def test_a_candidate_that_was_trained_on_a_test_film_is_refused(settings: Settings, story: Story) -> None:
    trained_on(story, SNAPSHOT, 1)
    subject.evaluate_candidate(settings, story.store, story.run("first"), SNAPSHOT, None)
    found = record.read_evaluation(story.store, "first")
    assert found.overlap is not None
    assert found.overlap.films == 2  # the film, and the other one of its patient
    assert len(failed(settings, found, "that the candidate has seen")) == 1


def test_an_evaluation_that_did_not_look_for_seen_films_promotes_nothing(
    settings: Settings, story: Story
) -> None:
    found = evaluated(settings, story, trained_on(story, "0ld", 0))
    assert failed(settings, found, "seen") == []
    assert found.champion is not None
    older = found.champion.model_copy(update={"overlap": None})
    found = found.model_copy(update={"overlap": None, "champion": older})
    assert len(failed(settings, found, "seen")) == 3


@pytest.mark.parametrize("body", [b"", b"no parquet at all"])
def test_damaged_training_rows_are_unknown_and_not_empty(store: ObjectStore, body: bytes) -> None:
    store.put(layout.dataset("d", "training.parquet"), body)
    summarise(store, "d")
    seen, overlap = find_overlap(store, "d", frame(("patient:1", "a", "A"), label=["NORMAL"]))
    assert not np.any(seen)
    assert overlap.films is None
    assert overlap.fault
