"""A protocol that changes in the middle of the year: what was judged before still verifies."""

from typing import Any

import pytest

from pneumo_tasks.evaluation.revisions import Revision, revise
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.protocol.activation import activate, active_protocol
from pneumo_tasks.promotion.protocol.document import Protocol
from pneumo_tasks.promotion.report.report import gather, render_report, write_report
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import canonical_json
from tests.evaluation.story import Story
from tests.kept_buckets import once
from tests.promotion.judging import judge

WHY = "agreed in the meeting of May"


def protocol(settings: Settings, name: str, **limits: Any) -> Protocol:
    base = Protocol.of(settings)
    return base.model_copy(update={"name": name, "limits": {**base.limits, **limits}})


def found(settings: Settings, story: Story) -> str:
    (protocols,) = [one for one in verify(settings, story.store) if one.subject == "protocols"]
    return f"{protocols.verdict}: {protocols.detail}"


@pytest.fixture
def year(settings: Settings, story: Story) -> list[str | None]:
    """Three weeks: before any protocol was activated, under the first, and under the second."""
    return once("year", settings, story.store, lambda: live_through(settings, story))


def live_through(settings: Settings, story: Story) -> list[str | None]:
    """The digests of the protocols that the decisions of the weeks name."""
    digests = []
    judge(settings, story, "first")
    promote_model(settings, story.store, "first")
    digests.append(read_decision(story.store, "first").protocol)
    for run_id, model, recall in (("second", "better", 0.955), ("third", "weak", 0.96)):
        activate(settings, story.store, protocol(settings, run_id, min_recall=recall), "ada", WHY)
        judge(bare(settings), story, run_id, model)
        if model == "better":
            promote_model(bare(settings), story.store, run_id)
        digests.append(read_decision(story.store, run_id).protocol)
    return digests


def bare(settings: Settings) -> Settings:
    """The same settings, of which nothing was said by anybody."""
    return Settings.model_construct(**settings.model_dump(), _fields_set={"demo"})


def test_decisions_of_before_and_after_verify_and_the_report_names_both(
    settings: Settings, story: Story, year: list[str | None]
) -> None:
    assert len(set(year)) == 3
    assert found(settings, story).startswith("pass: 2 activations; 3 decisions name")
    assert all(finding.verdict == "pass" for finding in verify(settings, story.store))
    write_report(settings, story.store, "second")
    page = render_report(gather(story.store, "second"))
    now = active_protocol(settings, story.store, settings)
    assert str(year[1]) in page
    assert f"Since then another one was activated: <code>{now.digest}</code>" in page
    assert "embedded default" in render_report(gather(story.store, "first"))


@pytest.mark.parametrize(
    ("place", "said"),
    [(0, "names the embedded default"), (2, "names protocol"), (None, "names no protocol")],
)
def test_a_decision_forged_to_name_another_protocol_is_found(
    settings: Settings, story: Story, year: list[str | None], place: int | None, said: str
) -> None:
    """Written as the product writes it, document, digest and chain: only the order tells."""
    entry = next(one for one in ledger.read_ledger(story.store) if one.run_id == "second")
    names: dict[int | None, tuple[str | None, int | None]]
    names = {0: (year[0], 0), 2: (year[2], 4), None: (None, None)}
    digest, seq = names[place]
    honest = read_decision(story.store, "second").model_dump(mode="json")
    forged = revise(story.store, "second", "decision", honest | {"protocol": digest, "protocol_seq": seq})
    rewrite(story, entry.seq, forged)
    assert "a decision was not judged by the protocol that was active then" in found(settings, story)
    assert said in found(settings, story)


def rewrite(story: Story, seq: int, decision: Revision) -> None:
    """Put a decision into an entry of the ledger, and all later ones back into the chain."""
    entries = ledger.read_ledger(story.store)
    previous = ledger.digest(entries[seq - 2]) if seq > 1 else ledger.NOTHING
    for entry in entries[seq - 1 :]:
        changed = {"previous_sha256": previous} | ({"decision": decision} if entry.seq == seq else {})
        new = entry.model_copy(update=changed)
        previous = ledger.digest(new)
        story.store.put(layout.ledger_entry(new.seq), canonical_json(new.model_dump(exclude_unset=True)))


def test_what_was_decided_before_there_were_protocols_still_verifies(
    settings: Settings, story: Story
) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    old = read_decision(story.store, "first").model_dump(mode="json")
    for name in ("protocol", "protocol_seq", "spending"):
        del old[name]
    rewrite(story, 1, revise(story.store, "first", "decision", old))
    assert found(settings, story) == "pass: 0 activations; 0 decisions name the protocol that was active then"
    activate(settings, story.store, protocol(settings, "ours"), "ada", WHY)
    assert found(settings, story).startswith("pass: 1 activations; 0 decisions")
