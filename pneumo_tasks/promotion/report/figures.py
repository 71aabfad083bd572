"""SVG figures for the report: text stays text, ink follows the page's colour, no ids collide."""

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Drawn with this ink, then replaced: an inline SVG inherits the page's text colour, light or dark.
_INK = "#010203"
BLUE, ORANGE, GREY = "#2f7ed8", "#e07b00", "#8a8f98"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pneumo",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "grid.color": _INK,
    "axes.titlesize": 11,
    **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], _INK),
}

Points = Sequence[float]


def roc_figure(false_alarm_rate: Points, recall: Points, here: tuple[float, float], auc: float) -> str:
    """ROC curve with the operating point."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        axes.plot(false_alarm_rate, recall, color=BLUE)
        axes.plot(*here, "o", color=ORANGE, label="operating point")
        axes.set(xlabel="1 - specificity", ylabel="recall", title=f"ROC, area {auc:.3f}")
        axes.legend(frameon=False, loc="lower right")
        return _svg(figure, "roc")


def precision_recall_figure(
    recall: Points, precision: Points, here: tuple[float, float], share: float, area: float
) -> str:
    """Precision-recall curve; the dotted line is what calling everything pneumonia gives."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(share, color=GREY, linestyle=":", linewidth=1)
        axes.plot(recall, precision, color=BLUE)
        axes.plot(*here, "o", color=ORANGE, label="operating point")
        axes.set(xlabel="recall", ylabel="precision", title=f"Precision-recall, area {area:.3f}")
        axes.set_ylim(min(share, *precision) - 0.02, 1.01)
        axes.legend(frameon=False, loc="lower left")
        return _svg(figure, "pr")


def training_figure(stages: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> str:
    """Loss per epoch, train and validation, one panel a stage."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2 * len(stages), 3.2), layout="constrained")
        for place, (name, epochs) in enumerate(stages, start=1):
            axes = figure.add_subplot(1, len(stages), place)
            numbers = [epoch["epoch"] for epoch in epochs]
            for field, colour, label in (("loss", GREY, "train"), ("val_loss", BLUE, "validation")):
                axes.plot(numbers, [e.get(field, math.nan) for e in epochs], ".-", color=colour, label=label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="epoch", ylabel="loss", title=name)
            axes.legend(frameon=False)
        return _svg(figure, "training")


def calibration_figure(bins: Sequence[dict[str, Any]], error: float) -> str:
    """Observed against predicted share of pneumonia; the area of a point follows its images."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        predicted, observed = [b["predicted"] for b in bins], [b["observed"] for b in bins]
        axes.plot(predicted, observed, color=BLUE, linewidth=1)
        axes.scatter(predicted, observed, s=[12 + 0.8 * b["images"] for b in bins], color=BLUE, alpha=0.7)
        axes.set(xlabel="predicted", ylabel="share with pneumonia", title=f"Calibration, error {error:.3f}")
        return _svg(figure, "calibration")


def operating_figure(curve: Sequence[Sequence[float]], threshold: float) -> str:
    """Recall and specificity on validation over the threshold, and the threshold that was chosen."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        thresholds = [point[0] for point in curve]
        axes.plot(thresholds, [point[1] for point in curve], color=BLUE, label="recall")
        axes.plot(thresholds, [point[2] for point in curve], color=GREY, label="specificity")
        axes.axvline(threshold, color=ORANGE, linewidth=1, label="chosen")
        axes.set(xlabel="threshold", title="Validation")
        axes.legend(frameon=False, loc="lower center")
        return _svg(figure, "operating")


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{name} curve" ', 1)
    return svg.replace(_INK, "currentColor")
