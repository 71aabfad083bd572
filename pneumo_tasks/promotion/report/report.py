"""The report of one run: report.json with everything it says, report.html made from it."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from sklearn import metrics as sk

from pneumo_tasks import journal
from pneumo_tasks.dataset.balance import read_class_balance
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.errors import FinalError, ObjectMissing, RetryableError
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.explanations import worst_misses
from pneumo_tasks.evaluation.record import read_evaluation, read_test_scores
from pneumo_tasks.intake.labelling import waiting_for_labels
from pneumo_tasks.promotion.judgement import Decision, read_decision
from pneumo_tasks.promotion.report import figures
from pneumo_tasks.promotion.report.beside import beside_test_set
from pneumo_tasks.promotion.report.document import Report, Reported
from pneumo_tasks.promotion.report.governance import at_prevalence, governance
from pneumo_tasks.promotion.runs.runs import optional
from pneumo_tasks.promotion.runs.state import is_of
from pneumo_tasks.promotion.texts.rendering import figure, render
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.recipes import PHANTOM_RECIPE

log = logging.getLogger(__name__)

SCHEMA = 2
_HISTORIES = {"head": "Head on cached features", "fine_tune": "Fine-tuning of block 5"}


def write_report(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
) -> Reported:
    """Write runs/<run>/report.json and report.html; what is returned is the page.

    The page is one file without scripts or outside references, and can be read without Airflow. It
    may be written again at any time, and says what became of the decision by then. A report that
    cannot be made never stops or changes a decision: the page then holds the decision and the
    reason. Only a store that does not answer is an error.
    """
    try:
        report = gather(store, run_id, settings.report_images, settings.patient_site)
        page = render_report(report).encode()
        store.put_json(layout.run(run_id, "report.json"), report)
    except RetryableError:
        raise
    except Exception as error:
        log.exception("the report of %s cannot be made", run_id)
        page = render("report_failed.html", decision=_decided(store, run_id), error=str(error)).encode()
    key = layout.run(run_id, "report.html")
    store.put(key, page, "text/html; charset=utf-8")
    log.info("report: %s, %d KiB", key, len(page) // 1024)
    return Reported(key=key, sha256=sha256(page))


def gather(store: ObjectStore, run_id: str, images: bool = True, site_in_key: bool = False) -> dict[str, Any]:
    """Everything the report says, as one JSON document; parts a run did not reach are None."""
    decision = read_decision(store, run_id)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "run_id": run_id,
        "written_at": journal.now(),
        "decision": decision.model_dump(mode="json"),
        "stages": journal.stages(store, run_id),
        "summary": None,
        "unlabelled": waiting_for_labels(store).model_dump(mode="json"),
        "balance": None,
        "candidate": None,
        "evaluation": None,
        "training": [],
        "curves": None,
        "pictures": {},
        "misses": [],
        "promotion": _promotion(store, decision),
        "protocol": (protocol := governance(store, decision)) and protocol.model_dump(mode="json"),
        "at_prevalence": None,
        "beside": [],
    }
    if decision.snapshot_id is not None:
        summary = snapshot_summary(store, decision.snapshot_id).model_dump(mode="json")
        report["summary"] = summary | {"excluded_by_reason": _counted(summary["excluded"])}
    if decision.version is not None:
        evaluation = read_evaluation(store, run_id)
        scores = read_test_scores(store, evaluation)
        stated = at_prevalence(protocol, evaluation)
        report |= {
            "at_prevalence": stated and stated.model_dump(mode="json"),
            "beside": [
                one.model_dump(mode="json") for one in beside_test_set(store, evaluation, site_in_key)
            ],
            "balance": read_class_balance(store, run_id).model_dump(mode="json"),
            "candidate": read_candidate(store, run_id).model_dump(mode="json"),
            "evaluation": evaluation.model_dump(mode="json"),
            "training": _training(store, run_id),
            "curves": _curves(evaluation, scores),
            "misses": worst_misses(scores)[["sha256", "file", "label", "probability"]].to_dict("records"),
            "pictures": _pictures(store, run_id) if images else {},
        }
    report |= {
        "headline": headline(decision, report["evaluation"], report["promotion"]),
        "banners": _banners(report),
    }
    return Report.model_validate(report).model_dump(mode="json", by_alias=True)


def _promotion(store: ObjectStore, decision: Decision) -> dict[str, Any] | None:
    """promotion.json, where it is about the candidate of the decision."""
    found: dict[str, Any] | None = optional(store, layout.run(decision.run_id, "promotion.json"))
    return found if is_of(found, decision) else None


def render_report(report: dict[str, Any]) -> str:
    """The page of one report.json."""
    return render("report.html", report=report, svg=_figures(report))


def headline(
    decision: Decision, evaluation: dict[str, Any] | None, promoted: dict[str, Any] | None = None
) -> str:
    """The decision in one sentence."""
    if evaluation is None:
        return f"Nothing was trained: {decision.reason}."
    test = evaluation["test"]
    found = f"recall {figure(test['recall'])}, precision {figure(test['precision'])} on the test set"
    if promoted and is_of(promoted, decision):
        return (
            f"Promoted: version {decision.version} is the champion since {promoted['promoted_at']} ({found})."
        )
    if decision.dry_run:
        return f"Dry run, nothing was changed. It would be {decision.decision}: {decision.reason} ({found})."
    if decision.decision == "approved":
        return f"Approved: version {decision.version} may become the champion ({found})."
    if decision.decision == "identical":
        return f"Nothing was changed: {decision.reason} ({found})."
    return f"Rejected: {decision.reason} ({found})."


def _decided(store: ObjectStore, run_id: str) -> dict[str, Any]:
    """What is known of the decision, where even that may be what cannot be read."""
    try:
        return read_decision(store, run_id).model_dump(mode="json")
    except (FinalError, ValueError):
        return {"run_id": run_id, "decision": "unknown", "reason": "", "rules": []}


def _banners(report: dict[str, Any]) -> list[str]:
    evaluation, summary = report["evaluation"] or {}, report["summary"] or {}
    banners = []
    if evaluation.get("synthetic") or summary.get("synthetic"):
        banners.append("Synthetic images: these figures say nothing about patients.")
    if evaluation.get("recipe") == PHANTOM_RECIPE:
        banners.append(f"Recipe {PHANTOM_RECIPE}: films at half the usual side, for drawn phantoms alone.")
    if evaluation.get("random_backbone"):
        banners.append("Random backbone: the weights were not pre-trained; this only shows that it runs.")
    asked = Settings.model_fields["min_test_patients"].default
    rules = (report["decision"] or {}).get("rules", [])
    limits = [rule["limit"] for rule in rules if rule["name"].startswith("test patients, ")]
    if limits and min(limits) < asked:
        banners.append(
            f"Too few test patients allowed: this gate asks for {min(limits):g} of each class, not {asked}; "
            "so few cannot carry a decision about patients."
        )
    return banners


def _counted(excluded: Sequence[dict[str, str]]) -> dict[str, int]:
    if not excluded:
        return {}
    return {str(reason): int(n) for reason, n in pd.DataFrame(excluded)["reason"].value_counts().items()}


def _training(store: ObjectStore, run_id: str) -> list[dict[str, Any]]:
    stages = []
    for name, title in _HISTORIES.items():
        try:
            history = store.read_json(layout.run(run_id, f"{name}/history.json"))
        except ObjectMissing:
            continue
        if history["epochs"] or "cross_fitting" in history:
            stages.append({"title": title, **history})
    return stages


def _pictures(store: ObjectStore, run_id: str) -> dict[str, Any]:
    found = optional(store, layout.run(run_id, "explanations.json")) or []
    return {picture["sha256"]: picture for picture in found}


def _curves(evaluation: Evaluation, scores: pd.DataFrame) -> dict[str, Any] | None:
    if evaluation.test.auc is None:
        return None
    positive, probability = (scores["label"] == "PNEUMONIA").to_numpy(), scores["probability"].to_numpy()
    false_alarm, recall, _ = sk.roc_curve(positive, probability)
    precision, found, _ = sk.precision_recall_curve(positive, probability, drop_intermediate=True)

    def points(values: Any) -> list[float]:
        return [round(float(value), 5) for value in np.asarray(values)]

    return {
        "roc": {"false_alarm_rate": points(false_alarm), "recall": points(recall)},
        "pr": {"recall": points(found), "precision": points(precision)},
    }


def _figures(report: dict[str, Any]) -> dict[str, Markup]:
    """The SVGs are made here from numbers alone, so they may enter the page unescaped."""
    drawn: dict[str, str] = {}
    curves, evaluation = report["curves"], report["evaluation"]
    if curves:
        test = evaluation["test"]
        here = (1 - test["specificity"], test["recall"])
        drawn["roc"] = figures.roc_figure(**curves["roc"], here=here, auc=test["auc"])
        drawn["pr"] = figures.precision_recall_figure(
            **curves["pr"],
            here=(test["recall"], test["precision"] or 0.0),
            share=test["positives"] / test["images"],
            area=test["pr_auc"],
        )
    if evaluation:
        point = evaluation["operating_point"]
        drawn["operating"] = figures.operating_figure(point["curve"], point["threshold"])
        if evaluation["calibration"]:
            drawn["calibration"] = figures.calibration_figure(
                evaluation["calibration"]["bins"], evaluation["calibration"]["error"]
            )
    curves_of = [(stage["title"], stage["epochs"]) for stage in report["training"] if stage["epochs"]]
    if curves_of:
        drawn["training"] = figures.training_figure(curves_of)
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704
