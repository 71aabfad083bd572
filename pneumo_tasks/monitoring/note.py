"""What people are told of the watch and asked about it, in a little Markdown."""

from pneumo_tasks.monitoring.evidence import WatchEvidence, read_evidence
from pneumo_tasks.monitoring.prospective import Prospective
from pneumo_tasks.monitoring.reviews import Review
from pneumo_tasks.promotion.texts.rendering import figure
from pneumo_tasks.storage.object_store import ObjectStore

_VAST = 1000  # times the evidence that is needed: more says nothing more
_NEXT = {
    "keep": "The champion stays. The watch begins anew with the next outcomes.",
    "roll back": "Trigger the DAG champion_rollback: it asks for the version and for an approval.",
    "retrain": "Trigger the DAG pneumonia_retraining: its candidate is judged like any other.",
}


def review_request(store: ObjectStore, page: str) -> str:
    """What a reviewer is shown with the question; ``page`` is the address of the evidence."""
    evidence = read_evidence(store)
    if evidence is None:
        return f"[The evidence]({page})"
    found = evidence.found
    lines = [
        f"Version **{evidence.version}**: {_plain(evidence.sentence)}.",
        "",
        "| | test set | tolerated | since the promotion | bounds |",
        "|---|---|---|---|---|",
    ]
    for name in ("recall", "specificity"):
        share = getattr(found, name)
        lines.append(
            f"| {name} | {figure(evidence.locked[name])} | {figure(evidence.tolerated[name])} "
            f"| {figure(share.value)} | {figure(share.low)} to {figure(share.high)} |"
        )
    lines += ["", f"[Read the evidence]({page}) before you answer. Nothing is done by itself."]
    return "\n".join(lines)


def what_to_do(review: Review) -> str:
    """One line for the run's note: who answered what, and what to do next."""
    return f"{review.answer}, says {review.by}: {review.reason} {_NEXT[review.answer]}"


def headline(evidence: WatchEvidence) -> str:
    """The state of the watch in one sentence, for a page."""
    if evidence.due:
        found = evidence.found
        return f"A review is due: look at {', '.join(found.loudest)}, since {found.first_alarm}"
    return evidence.sentence[:1].upper() + evidence.sentence[1:]


def told_evidence(found: Prospective) -> str:
    """The detector's evidence against what opens a review, in words that a person can weigh."""
    times = found.evidence / found.needed
    if times < 1:
        return f"{found.evidence:.1f} of the {found.needed:.0f} that open a review"
    if times < _VAST:
        return f"{times:,.1f} times what opens a review"
    return f"more than {_VAST:,} times what opens a review"


def _plain(text: str) -> str:
    """Names of sites are a sender's: in Markdown none of it is markup."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>()#+!|~" else letter for letter in text)
