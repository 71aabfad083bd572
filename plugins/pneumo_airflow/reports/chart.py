"""Recall and precision over time as one SVG, promotions marked: no library, for it has milliseconds."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from markupsafe import escape

if TYPE_CHECKING:
    from pneumo_tasks.promotion.runs.runs import RunSummary

WIDTH, HEIGHT = 900, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 124, 16, 34
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
_FEW = 60  # so many runs get a dot each
_LABEL_GAP = 16
_HIGHEST_FLOOR = 0.9  # so that perfect figures do not make noise look like news


def draw_chart(runs: Sequence["RunSummary"]) -> str:
    """The figure, oldest run first; empty where fewer than two runs have figures."""
    dated = [(datetime.fromisoformat(run.moment).timestamp(), run) for run in runs if run.moment]
    if len(dated) < 2:
        return ""
    return "".join(_Chart(dated).parts())


class _Chart:
    def __init__(self, dated: Sequence[tuple[float, "RunSummary"]]) -> None:
        self.dated = sorted(dated, key=lambda pair: pair[0])
        self.start, self.end = self.dated[0][0], self.dated[-1][0]
        self.lines = {
            "recall": [(t, run.figures.recall) for t, run in self.dated if run.figures],
            "precision": [(t, run.figures.precision) for t, run in self.dated if run.figures],
        }
        values = [value for line in self.lines.values() for _, value in line if value is not None]
        self.low = max(0.0, min(_HIGHEST_FLOOR, min(values, default=0.0) - 0.01))
        self.step = next((step for step in _STEPS if (1 - self.low) / step <= 5), _STEPS[-1])
        self.low = int(self.low / self.step) * self.step

    def x(self, moment: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (moment - self.start) / ((self.end - self.start) or 1)

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value) / ((1 - self.low) or 1)

    def parts(self) -> list[str]:
        promoted = [(t, run) for t, run in self.dated if run.decision == "promoted"]
        label = f"Recall and precision of {len(self.dated)} runs; {len(promoted)} were promoted"
        drawn = [
            f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(label)}">',
            *self._grid(),
            *self._dates(),
            *(self._promotion(t, run) for t, run in promoted),
        ]
        for name, line in self.lines.items():
            drawn += self._line(name, [(t, v) for t, v in line if v is not None])
        return [*drawn, *self._labels(), "</svg>"]

    def _grid(self) -> list[str]:
        count = round((1 - self.low) / self.step)
        levels = [self.low + self.step * n for n in range(count + 1)]
        return [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(v):.1f}" y2="{self.y(v):.1f}"/>'
            f'<text x="{LEFT - 8}" y="{self.y(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>'
            for v in levels
        ]

    def _dates(self) -> list[str]:
        span = self.end - self.start
        form = "%H:%M" if span < 86400 else "%d %b" if span < 300 * 86400 else "%b %Y"
        drawn = []
        for n in range(5):
            moment = self.start + span * n / 4
            text = datetime.fromtimestamp(moment).astimezone().strftime(form)
            anchor = "start" if n == 0 else "end" if n == 4 else "middle"
            drawn.append(
                f'<text x="{self.x(moment):.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{text}</text>'
            )
        return drawn

    def _promotion(self, moment: float, run: "RunSummary") -> str:
        x = self.x(moment)
        title = escape(f"{run.moment[:16]}: promoted {run.version}")
        return (
            f'<g class="promotion"><line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<path d="M{x:.1f} {TOP - 7}l5 6l-5 6l-5 -6z"/><title>{title}</title></g>'
        )

    def _line(self, name: str, line: Sequence[tuple[float, float]]) -> list[str]:
        points = [(self.x(t), self.y(v), v) for t, v in line]
        drawn = [f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)}"/>']
        if len(points) <= _FEW:
            drawn += [
                f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
                f"<title>{name} {v:.3f}</title></circle>"
                for x, y, v in points
            ]
        return drawn

    def _labels(self) -> list[str]:
        """The last value of each line at its right end, kept apart where they would overlap."""
        ends = [
            (self.y(line[-1][1]), name, line[-1][1]) for name, line in self.lines.items()
            if line and line[-1][1] is not None
        ]  # fmt: skip
        drawn, above = [], float("-inf")
        for y, name, value in sorted(ends):
            y = max(y, above + _LABEL_GAP)
            above = y
            drawn.append(
                f'<text class="{name}" x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}">{name} {value:.3f}</text>'
            )
        return drawn
