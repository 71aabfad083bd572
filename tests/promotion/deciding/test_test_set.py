import pandas as pd
import pytest

from pneumo_tasks.errors import ObjectMissing, PromotionRefused
from pneumo_tasks.evaluation.record import read_evaluation, read_test_scores, write_evaluation
from pneumo_tasks.evaluation.revisions import revise
from pneumo_tasks.promotion.deciding.decision import decide_promotion, replay
from pneumo_tasks.promotion.deciding.test_set import NAME, accept_test_set, set_rules
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.protocol.document import TestSetRules
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge


def change_films(store: ObjectStore, run_id: str, films: int, batch: str = "monday") -> None:
    """Give the run's evaluation ``films`` films more than it has; they came with ``batch``."""
    evaluation = read_evaluation(store, run_id)
    scores = read_test_scores(store, evaluation)
    more = scores.head(films).assign(sha256=[f"{n:064d}" for n in range(films)], batch_id=batch)
    written = write_evaluation(store, evaluation, pd.concat([scores, more])).document
    decision = read_decision(store, run_id).model_copy(update={"evaluation": written})
    revise(store, run_id, "decision", decision.model_dump(mode="json"))


def asked(reason: str) -> ChangeRequest:
    return ChangeRequest(reason=reason, by="a person")


def lost_films_rule(store: ObjectStore, run_id: str) -> Rule:
    return next(rule for rule in read_decision(store, run_id).rules if rule.name == NAME)


@pytest.fixture
def shrunk(settings: Settings, story: Story) -> Story:
    """A champion that was judged on three films more than any later candidate."""
    judge(settings, story, "first")
    change_films(story.store, "first", 3)
    promote_model(settings, story.store, "first")
    return story


def test_a_test_set_that_lost_films_promotes_nothing(settings: Settings, shrunk: Story) -> None:
    judge(settings, shrunk, "second", "better")
    rule = lost_films_rule(shrunk.store, "second")
    assert (rule.value, rule.limit, rule.verdict) == (3, 0, "fail")
    assert "accept-test-set" in rule.why
    assert read_decision(shrunk.store, "second").decision == "rejected"
    assert NAME in {rule.name for rule in replay(settings, shrunk.store, "second").rules}


def test_a_test_set_that_grew_is_no_reason_to_refuse(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    judge(settings, story, "second", "better")
    change_films(story.store, "second", 5)
    decide_promotion(settings, story.store, "second", SNAPSHOT)
    assert lost_films_rule(story.store, "second").verdict == "pass"


def test_an_entry_in_the_ledger_explains_the_films_that_are_gone(settings: Settings, shrunk: Story) -> None:
    judge(settings, shrunk, "second", "better")
    entry = accept_test_set(settings, shrunk.store, "second", asked("the site took its films back"))
    assert (entry.kind, entry.reason) == ("test-set-changed", "the site took its films back")
    assert accept_test_set(settings, shrunk.store, "second", asked("the site took its films back")) == entry
    judge(settings, shrunk, "third", "better")
    assert lost_films_rule(shrunk.store, "third").verdict == "pass"
    assert read_decision(shrunk.store, "third").decision == "approved"


def test_an_accepted_change_explains_no_film_that_it_still_held(settings: Settings, shrunk: Story) -> None:
    judge(settings, shrunk, "second", "better")
    change_films(shrunk.store, "second", 2)  # two of the three are still there
    accept_test_set(settings, shrunk.store, "second", asked("one film was a copy"))
    judge(settings, shrunk, "third", "better")
    assert lost_films_rule(shrunk.store, "third").value == 2


def test_what_was_accepted_for_a_former_champion_explains_nothing_later(
    settings: Settings, shrunk: Story
) -> None:
    judge(settings, shrunk, "second", "better")
    accept_test_set(settings, shrunk.store, "second", asked("one film was a copy"))
    judge(settings, shrunk, "third", "better")
    change_films(shrunk.store, "third", 4)
    promote_model(settings, shrunk.store, "third")
    judge(settings, shrunk, "fourth", "good")
    assert lost_films_rule(shrunk.store, "fourth").value == 4


def test_films_of_a_withdrawn_batch_are_explained_by_the_withdrawal(settings: Settings, story: Story) -> None:
    judge(settings, story, "first")
    change_films(story.store, "first", 3, batch="tuesday")
    promote_model(settings, story.store, "first")
    withdrawn = ledger.NewEntry(
        kind="withdrawn", version=None, attempt="withdrawn-tuesday", by="a person", reason="consent"
    )
    ledger.append(story.store, withdrawn)
    judge(settings, story, "second", "better")
    assert lost_films_rule(story.store, "second").verdict == "pass"


def test_a_champion_whose_test_films_cannot_be_read_is_not_replaced(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    digest = read_evaluation(story.store, "first").scores_sha256
    story.store.delete(layout.evidence("first", "test_scores", digest, "parquet"))
    judge(settings, story, "second", "better")
    rule = lost_films_rule(story.store, "second")
    assert (rule.value, rule.verdict) == (None, "fail")
    assert "cannot be compared" in rule.why


def test_an_acceptance_needs_a_reason_and_an_evaluated_run(settings: Settings, story: Story) -> None:
    with pytest.raises(PromotionRefused, match="reason"):
        accept_test_set(settings, story.store, "first", asked("  "))
    with pytest.raises(ObjectMissing):
        accept_test_set(settings, story.store, "never", asked("why not"))


def test_a_protocol_may_freeze_the_test_set_and_count_its_looks(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    judge(settings, story, "second", "better")
    evaluation = read_evaluation(story.store, "second")
    strict = TestSetRules(frozen=True, most_looks=2)
    assert [rule.verdict for rule in set_rules(strict, story.store, evaluation)] == ["pass", "pass"]
    assert set_rules(TestSetRules(), story.store, evaluation) == []
    assert evaluation.exposure is not None
    worn = evaluation.exposure.model_copy(update={"most": 3})
    changed = evaluation.model_copy(update={"exposure": worn, "test_set_id": "0ther"})
    looks, frozen = set_rules(strict, story.store, changed)
    assert (looks.name, looks.value, looks.limit, looks.verdict) == ("looks at a test film", 3, 2, "fail")
    assert (frozen.name, frozen.verdict) == ("test set is frozen", "fail")
    assert "candidate on 0ther" in frozen.why


def test_a_test_film_of_a_sender_that_the_protocol_does_not_name_promotes_nothing(
    settings: Settings, story: Story
) -> None:
    judge(settings, story, "first")
    evaluation = read_evaluation(story.store, "first")
    batches = set(read_test_scores(story.store, evaluation)["batch_id"])
    assert batches == {"monday"}
    (good,) = set_rules(TestSetRules(may_add=("north-", "mon")), story.store, evaluation)
    (bad,) = set_rules(TestSetRules(may_add=("north-",)), story.store, evaluation)
    assert (good.verdict, bad.verdict) == ("pass", "fail")
    assert bad.value == len(read_test_scores(story.store, evaluation))
    assert "begin with north-; now of monday" in bad.why
