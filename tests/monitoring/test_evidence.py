"""The daily watch: what it says, what it writes, and that it does nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pneumo_tasks import pipeline
from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.monitoring.drift import score_drift
from pneumo_tasks.monitoring.evidence import WatchEvidence, read_evidence
from pneumo_tasks.monitoring.note import review_request, what_to_do
from pneumo_tasks.monitoring.outcomes import Import, Outcome, import_outcomes, read_imports
from pneumo_tasks.monitoring.reviews import Answered, record_review
from pneumo_tasks.promotion.ledger.ledger import read_ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import Story
from tests.promotion.judging import judge


@pytest.fixture
def run(settings: Settings, store: ObjectStore) -> Run:
    return Run(settings, store, "daily")


@pytest.fixture
def version(settings: Settings, story: Story) -> str:
    promote_model(settings, story.store, judge(settings, story, "first"))
    champion = read_champion(story.store)
    assert champion is not None
    return champion.version


def week(version: str, number: int, missed: int, site: str = "") -> list[Outcome]:
    return [
        Outcome(
            version=version, study=f"{number}-{at}", probability=float(at >= missed), diagnosis="PNEUMONIA",
            site=site,
        )
        for at in range(60)
    ]  # fmt: skip


def watched(run: Run) -> WatchEvidence:
    found = pipeline.watch(run)
    assert found is not None
    return found


def test_without_a_champion_nothing_is_watched_and_nothing_written(run: Run) -> None:
    assert pipeline.watch(run) is None
    assert list(run.store.list_objects("")) == []


def test_a_quiet_day_says_so_and_the_next_one_writes_nothing(run: Run, version: str) -> None:
    import_outcomes(run.store, week(version, 1, missed=0), "ada")
    first = watched(run)
    assert (first.due, first.seq) == (False, 1)
    assert first.sentence.startswith("quiet: 1 weeks")
    before = [listed.key for listed in run.store.list_objects("")]
    assert watched(run) == first
    assert [listed.key for listed in run.store.list_objects("")] == before


def test_a_watch_reads_the_imports_once(run: Run, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import_outcomes(run.store, week(version, 1, missed=0), "ada")
    listed: list[str] = []
    ask = ObjectStore.list_objects

    def counted(store: ObjectStore, prefix: str, *args: Any, **kwargs: Any) -> Any:
        listed.append(prefix)
        return ask(store, prefix, *args, **kwargs)

    monkeypatch.setattr(ObjectStore, "list_objects", counted)
    watched(run)
    assert listed.count(layout.OUTCOMES) == 1


def test_an_alarm_is_due_until_somebody_answers_and_changes_neither_champion_nor_ledger(
    run: Run, version: str
) -> None:
    ledger = read_ledger(run.store)
    import_outcomes(run.store, week(version, 1, missed=40), "ada")
    loud = watched(run)
    assert loud.due
    assert watched(run).due
    asked = review_request(run.store, "/watch")
    assert version in asked
    assert "0.333" in asked
    assert loud.found.loudest == ("recall",)  # a stream without evidence is not named
    said = Answered(by="vera", answer="keep", reason="a broken scanner, mended on Monday")
    review = record_review(run.store, version, said, loud.imports, loud.seq)
    assert "vera" in what_to_do(review)
    assert not watched(run).due
    assert [one.reason for one in watched(run).reviews] == [said.reason]
    import_outcomes(run.store, week(version, 2, missed=1), "ada")
    assert not watched(run).due  # what was answered for raises no alarm again
    import_outcomes(run.store, week(version, 3, missed=40), "ada")
    assert watched(run).due
    assert read_ledger(run.store) == ledger
    champion = read_champion(run.store)
    assert champion is not None
    assert champion.version == version


@pytest.mark.parametrize("answer", ["roll back", "retrain"])
def test_an_answer_says_what_to_trigger_and_triggers_nothing(run: Run, version: str, answer: str) -> None:
    import_outcomes(run.store, week(version, 1, missed=40), "ada")
    loud = watched(run)
    said = Answered.model_validate({"by": "vera", "answer": answer, "reason": "it misses too many"})
    before = {listed.key for listed in run.store.list_objects("")}
    told = what_to_do(record_review(run.store, version, said, loud.imports, loud.seq))
    assert "Trigger the DAG" in told
    after = {listed.key for listed in run.store.list_objects("")}
    assert after - before == {layout.watch_reviews(version, 1)}


def test_an_alarm_is_answered_once_and_with_a_reason(run: Run, version: str) -> None:
    import_outcomes(run.store, week(version, 1, missed=40), "ada")
    loud = watched(run)
    with pytest.raises(PromotionRefused, match="needs a reason"):
        record_review(run.store, version, Answered(by="vera", answer="keep", reason=" "), 1, loud.seq)
    said = Answered(by="vera", answer="keep", reason="known")
    record_review(run.store, version, said, loud.imports, loud.seq)
    with pytest.raises(PromotionRefused, match="answered for these outcomes already"):
        record_review(run.store, version, said, loud.imports, loud.seq)


def test_a_file_in_the_bucket_is_imported_once_and_a_wrong_one_stops_no_other(run: Run, version: str) -> None:
    good = f"version,study,probability,diagnosis\n{version},s1,0.9,PNEUMONIA\n".encode()
    run.store.put(layout.outcome_file("week48.csv"), good)
    run.store.put(layout.outcome_file("a-wrong-one.csv"), b"nothing\n")
    found = watched(run)
    assert (found.imports, found.found.studies) == (1, 1)
    assert "a-wrong-one.csv" in found.faults[0]
    assert watched(run).imports == 1
    assert [one.by for one in read_imports(run.store)] == ["the bucket: week48.csv"]


def test_many_imports_are_read_by_their_sums(run: Run, version: str) -> None:
    for number in range(11):
        import_outcomes(run.store, week(version, number, missed=0)[:2], "ada")
    assert list(run.store.list_objects(layout.OUTCOME_SUMS))
    assert len(read_imports(run.store)) == 11


def test_drift_compares_the_last_weeks_with_those_before_and_needs_enough_of_both() -> None:
    def imported(days_ago: int, probability: float) -> Import:
        at = datetime(2026, 6, 1, tzinfo=UTC) - timedelta(days=days_ago)
        rows = tuple(
            Outcome(version="v1", study=f"{days_ago}-{n}", probability=probability + n / 1000)
            for n in range(60)
        )
        return Import(seq=1, arrived_at=at.isoformat(), by="ada", sha256="", rows=rows)

    assert score_drift([imported(1, 0.5)], "v1") is None
    assert score_drift([], "v1") is None
    moved = score_drift([imported(60, 0.1), imported(1, 0.8)], "v1")
    assert moved is not None
    assert (moved.recent, moved.before, moved.ks) == (60, 60, 1.0)
    assert moved.psi > 1
    assert score_drift([imported(60, 0.1), imported(1, 0.8)], "v0") is None


def test_the_last_evidence_is_read_back(run: Run, version: str) -> None:
    assert read_evidence(run.store) is None
    found = watched(run)
    assert read_evidence(run.store) == found
