"""What people are told of a run and asked about it: a line that fits a phone, or a little Markdown."""

from pneumo_tasks.promotion.registry.history import former_champions
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.runs.runs import RunSummary, show_run
from pneumo_tasks.promotion.texts.rendering import figure
from pneumo_tasks.shown import for_markdown
from pneumo_tasks.storage.object_store import ObjectStore

_REASON_LETTERS = 200
_OFFERED = 20


def run_note(run: RunSummary) -> str:
    """``promoted 3f2a: recall 0.974 [0.95–0.99], precision 0.940; 2 batches, 412 images, 7 quarantined``."""
    outcome = (run.decision or run.state).replace("-", " ")
    parts = [f"{outcome} {run.version}" if run.version else outcome]
    if run.figures:
        parts.append(f"recall {_with_interval(run)}, precision {figure(run.figures.precision)}")
    elif run.reason:
        parts.append(shortened(run.reason))
    said = ": ".join(parts)
    if run.figures and run.decision != "promoted" and run.reason:
        said += f"; {shortened(run.reason)}"
    if run.data:
        data = run.data
        said += f"; {_counted(data.batches, 'batch', 'batches')}, {data.images} images"
        said += f", {data.quarantined} quarantined"
    if run.approval and run.approval.sentence != run.reason:
        said += f"; {shortened(run.approval.sentence)}"
    return said


def shortened(text: str) -> str:
    return text if len(text) <= _REASON_LETTERS else f"{text[: _REASON_LETTERS - 1]}…"


def _with_interval(run: RunSummary) -> str:
    if run.figures is None or run.figures.recall_interval is None:
        return figure(run.figures.recall if run.figures else None)
    found = run.figures.recall_interval
    return f"{figure(run.figures.recall)} [{figure(found.low, 2)}–{figure(found.high, 2)}]"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def approval_request(store: ObjectStore, run_id: str, report: str) -> str:
    """What a reviewer is shown with the question, in Markdown; ``report`` is the address of the report."""
    run = show_run(store, run_id)
    against = f"the champion {run.champion}" if run.champion else "no champion: it would be the first"
    passed = sum(rule.verdict == "pass" for rule in run.rules)
    lines = [
        f"Candidate **{run.version}** passed {passed} of {len(run.rules)} rules, judged against {against}.",
        "",
        "| | test set | change, points |",
        "|---|---|---|",
    ]
    for name in ("recall", "precision", "auc"):
        change = (run.figures.change or {}).get(name) if run.figures else None
        said = "–" if change is None else f"{change * 100:+.1f}"
        lines.append(f"| {name} | {figure(getattr(run.figures, name, None))} | {said} |")
    lines += ["", f"[Read the report]({report}) before you answer. Your reason enters the ledger."]
    return "\n".join(lines)


def former_champions_table(store: ObjectStore) -> tuple[list[str], str]:
    """The versions a rollback can bring back, and a Markdown table of them."""
    former = former_champions(store)[:_OFFERED]
    rows = [f"| {chapter.version} | {chapter.at[:16]} | {(chapter.until or '')[:16]} |" for chapter in former]
    table = "\n".join(["| version | live from | until |", "|---|---|---|", *rows])
    return [chapter.version for chapter in former if chapter.version], table


def rollback_request(store: ObjectStore, version: str, reason: str, by: str, card: str) -> str:
    """What is approved: from which version to which, who asks, and why, in Markdown."""
    pointer, _ = read_pointer(store)
    now = pointer.version if pointer else None
    return (
        f"From **{now or 'none'}** back to **{version}** ([model card]({card})), asked for by "
        f"{for_markdown(by)}:\n\n> {for_markdown(reason)}"
    )
