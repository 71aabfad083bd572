"""Test, then train: what the champion says of new films before anybody trains on them."""

from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks import pipeline
from pneumo_tasks.dataset.seen import record_seen
from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.evaluation.unseen.unseen_figures import unseen_figures
from pneumo_tasks.evaluation.unseen.unseen_table import read_table, scored_batches
from pneumo_tasks.intake.labelling import label_batch
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.withdrawals import resubmit_batch, withdraw_batch
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.promotion.deciding.decision import decide_promotion, replay
from pneumo_tasks.promotion.deciding.gate import LIMITS
from pneumo_tasks.promotion.deciding.unseen_rule import NAME
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.registry.champion import champion_ref, read_champion
from pneumo_tasks.promotion.registry.contenders import find_contenders
from pneumo_tasks.promotion.report.report import gather, render_report
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import SNAPSHOT, Story
from tests.intake.films import film, jpeg, write
from tests.promotion.judging import judge
from tests.promotion.weeks import Weeks, first_week, second_batch, second_week


@pytest.fixture
def weeks(settings: Settings, story: Story, tmp_path: Path) -> Weeks:
    return first_week(settings, story, tmp_path)


@pytest.fixture
def second(weeks: Weeks) -> str:
    return second_week(weeks)


def champion_sha(store: ObjectStore) -> str:
    champion = read_champion(store)
    assert champion is not None
    return champion.sha256


def test_the_champion_scores_new_patients_and_leaves_out_those_whom_training_has_seen(
    weeks: Weeks, second: str
) -> None:
    found = weeks.scores(second)
    assert (found.films, found.patients, found.left_out) == (10, 10, 1)
    assert [(model.films, model.left_out, model.source) for model in found.models] == [(10, 1, "films")]
    table = read_table(weeks.store, champion_sha(weeks.store))
    assert set(table["batch_id"]) == {"train-2"}
    assert table.loc[table["seen"], "patient"].tolist() == ["im:0"]
    assert table.loc[~table["seen"], "probability"].between(0, 1).all()
    assert table.loc[table["seen"], "probability"].isna().all()
    assert all(weeks.label_of(row.sha256) == row.label for row in table.itertuples())


def test_a_second_attempt_asks_nothing_again_and_changes_nothing(weeks: Weeks, second: str) -> None:
    weeks.scores(second)
    before = [listed.key for listed in weeks.store.list_objects(layout.UNSEEN)]
    again = weeks.scores(second)
    assert (again.films, again.models) == (10, [])
    assert [listed.key for listed in weeks.store.list_objects(layout.UNSEEN)] == before


def test_what_training_has_met_is_no_evidence_any_more(weeks: Weeks, second: str) -> None:
    record_seen(weeks.store, second)
    found = weeks.scores(second)
    assert (found.films, found.models, found.why) == (
        0, [], "every patient of these films was trained on before",
    )  # fmt: skip
    assert not scored_batches(weeks.store, champion_sha(weeks.store))


@pytest.mark.slow
def test_training_writes_down_whom_it_is_about_to_see_before_it_begins(weeks: Weeks, second: str) -> None:
    with pytest.raises(Exception, match="class_balance"):  # nothing was extracted or balanced: it fails later
        pipeline.train(weeks.run, second)
    assert weeks.scores(second).films == 0


def test_without_a_champion_no_object_of_the_data_is_read(settings: Settings, store: ObjectStore) -> None:
    found = pipeline.score_unseen(Run(settings, store, "weekly", recorded=False), "no-such-snapshot")
    assert (found.films, found.why) == (0, "there is no champion yet")


def test_the_newest_candidates_score_beside_the_champion_while_their_files_are_kept(
    weeks: Weeks, second: str, story: Story, settings: Settings
) -> None:
    judge(settings, story, "second", "weak")
    judge(settings, story, "third", "better")
    found = find_contenders(weeks.store, 3)
    assert [one.run_id for one in found] == ["first", "third", "second"]
    assert [one.run_id for one in find_contenders(weeks.store, 2)] == ["first", "third"]
    assert find_contenders(weeks.store, 0) == []
    weeks.store.delete(layout.run("third", "candidate.keras"))
    assert [one.run_id for one in find_contenders(weeks.store, 3)] == ["first", "second"]
    assert [model.films for model in weeks.scores(second).models] == [10, 10]


def test_a_candidate_with_a_damaged_file_is_left_out_and_a_damaged_champion_ends_the_run(
    weeks: Weeks, second: str, story: Story, settings: Settings
) -> None:
    judge(settings, story, "second", "weak")
    weeks.store.put(layout.run("second", "candidate.keras"), b"other bytes")
    assert [model.version for model in weeks.scores(second).models] == [champion_ref(weeks.store).version]  # type: ignore[union-attr]
    champion = read_champion(weeks.store)
    assert champion is not None
    weeks.store.put(layout.model(champion.version, "model.keras"), b"other bytes")
    for listed in list(weeks.store.list_objects(layout.unseen_scores(champion.sha256))):
        weeks.store.delete(listed.key)
    with pytest.raises(CorruptArtefact):
        weeks.scores(second)


def test_a_part_that_was_changed_is_found(weeks: Weeks, second: str) -> None:
    weeks.scores(second)
    part = next(iter(weeks.store.list_objects(layout.UNSEEN)))
    weeks.store.put(part.key, weeks.store.read(part.key) + b" ")
    with pytest.raises(CorruptArtefact):
        read_table(weeks.store, champion_sha(weeks.store))


def test_a_withdrawal_and_a_correction_move_the_figures_and_leave_the_table(
    weeks: Weeks, second: str, settings: Settings, tmp_path: Path
) -> None:
    weeks.scores(second)
    table = read_table(weeks.store, champion_sha(weeks.store))
    before = unseen_figures(table, accepted_images(weeks.store), 0.5)
    assert (before.films, before.specificity.patients, before.recall.patients) == (10, 5, 5)
    files = {name: body for name, body in second_batch().items() if "IM-0000" not in name}
    name = "NORMAL/IM-0100-0001.jpeg"
    files["PNEUMONIA/person9100_virus_1.jpeg"] = files.pop(name)
    sent = resubmit_batch(settings, weeks.store, write(tmp_path / "corrected", files), "train-2")
    assert validate_batch(settings, weeks.store, sent.batch_id).state == "accepted"
    after = unseen_figures(table, accepted_images(weeks.store), 0.5)
    assert (after.films, after.corrected, after.specificity.patients, after.recall.patients) == (10, 1, 4, 6)
    withdraw_batch(weeks.store, sent.batch_id, "ada", "consent was withdrawn")
    gone = unseen_figures(table, accepted_images(weeks.store), 0.5)
    assert (gone.films, gone.withdrawn) == (0, 10)
    assert read_table(weeks.store, champion_sha(weeks.store)).equals(table)


def test_films_are_scored_when_their_labels_arrive_and_later_labels_bring_the_others(
    weeks: Weeks, settings: Settings, tmp_path: Path
) -> None:
    films = {f"f{n}.jpeg": jpeg(film(700 + n)) for n in range(4)}
    table = "path,patient_id\n" + "".join(f"f{n}.jpeg,{70 + n}\n" for n in range(4))
    folder = write(tmp_path / "late", {**films, "images.csv": table.encode()})
    upload_batch(settings, weeks.store, folder, "late", "train", unlabelled=True)
    assert validate_batch(settings, weeks.store, "late").state == "unlabelled"
    assert weeks.scores(weeks.assembles()).films == 0  # nobody knows yet what they show
    labels = ["file,label", "f0.jpeg,NORMAL", "f1.jpeg,PNEUMONIA"]
    for number, known in ((1, labels), (2, [*labels, "f2.jpeg,NORMAL"])):
        sent = label_batch(settings, weeks.store, "late", "\n".join(known).encode())
        assert validate_batch(settings, weeks.store, sent.batch_id).state == "accepted"
        snapshot = weeks.assembles()
        found = weeks.scores(snapshot)
        assert (sent.batch_id, found.films, found.left_out) == (
            f"late-l{number}",
            3 - number,
            2 * (number - 1),
        )
        record_seen(weeks.store, snapshot)
    table_of = read_table(weeks.store, champion_sha(weeks.store))
    scored = table_of[~table_of["seen"]]
    assert dict(scored["batch_id"].value_counts()) == {"late-l1": 2, "late-l2": 1}
    assert scored["label_at"].str.startswith("20").all()
    figures = unseen_figures(table_of, accepted_images(weeks.store), 0.5)
    assert (figures.films, figures.batches, figures.withdrawn) == (
        3,
        1,
        0,
    )  # all of the batch that counts now


def test_the_report_shows_them_beside_the_locked_test_set_and_says_what_was_left_out(
    weeks: Weeks, second: str, story: Story, settings: Settings
) -> None:
    weeks.scores(second)
    judge(settings, story, "second", "better")
    report = gather(weeks.store, "second")
    (beside,) = report["beside"]
    assert (beside["role"], beside["unseen"]["films"], beside["unseen"]["left_out"]) == ("champion", 10, 1)
    assert beside["locked_intervals"]["recall"]["low"] < 1
    page = render_report(report)
    assert "Before anybody trained on them" in page
    assert "1 film(s) left out because a training had seen their patients" in page


def test_a_rule_may_ask_for_unseen_films_and_a_candidate_without_any_fails_it(
    weeks: Weeks, second: str, story: Story, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rule(run_id: str) -> list[float | None]:
        decide_promotion(Settings.load(), weeks.store, run_id, SNAPSHOT)
        return [one.value for one in read_decision(weeks.store, run_id).rules if one.name == NAME]

    story.run("second", "better")
    evaluate_candidate(settings, weeks.store, "second", SNAPSHOT, champion_ref(weeks.store))
    assert rule("second") == []
    monkeypatch.setenv("PNEUMO_MIN_UNSEEN_RECALL", "0.05")
    assert rule("second") == [None]
    assert read_decision(weeks.store, "second").decision == "rejected"
    weeks.scores(second)
    (value,) = rule("second")
    table = read_table(weeks.store, read_evaluation(weeks.store, "second").sha256)
    threshold = read_evaluation(weeks.store, "second").operating_point.threshold
    assert value == unseen_figures(table, accepted_images(weeks.store), threshold).recall.low
    assert np.isfinite(value)


def test_a_replay_knows_the_rule_about_unseen_films_and_its_limit_can_be_tried(
    weeks: Weeks, second: str, story: Story, settings: Settings
) -> None:
    judge(settings, story, "second", "better")
    weeks.scores(second)
    limit = {"min_unseen_recall": 0.99}
    (rule,) = (
        rule for rule in replay(Settings.load(limit), weeks.store, "second").rules if rule.name == NAME
    )
    assert (rule.verdict, rule.limit) == ("fail", 0.99)
    assert set(limit) <= set(LIMITS)
