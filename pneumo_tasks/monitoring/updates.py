"""Learning, potential and retention: did the model get better, or the films easier?

As Burgon, Sahiner, Petrick, Pennello and Samala define them for sequential updates (arXiv 2604.04878, 2026,
and their tool VIGILANT). S(M|D) is a figure of model M on data D; D of a version are the films that it was
the first to learn from, scored by fits that had no part in them.
"""

import math
from collections.abc import Callable, Sequence

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.figures.confidence import PatientShare
from pneumo_tasks.evaluation.unseen.unseen_figures import recall_of, specificity_of
from pneumo_tasks.monitoring.measured import MeasuredVersion

DECAY = 0.5  # of the weight of older data in retention, as the tool's default has it

Figure = Callable[[pd.DataFrame, float], PatientShare]
_FIGURES: dict[str, Figure] = {"recall": recall_of, "specificity": specificity_of}


class UpdateMeasures(BaseModel):
    """By figure; None where a part was never measured. ``before``: the version that it followed.

    ``learning``: new model minus old model, both on the new films. ``potential``: old model on its own films
    minus old model on the new ones; above 0 the films got harder. ``retention``: new model on the films of
    earlier versions, the youngest counting most.
    """

    model_config = ConfigDict(frozen=True)

    before: str
    films: int
    learning: dict[str, float | None]
    potential: dict[str, float | None]
    retention: dict[str, float | None]

    @property
    def sentence(self) -> str:
        """The three numbers of recall, for a person."""
        said = {"learning": self.learning, "potential": self.potential, "retention": self.retention}
        return ", ".join(f"{name} {_shown(found['recall'])}" for name, found in said.items()) + " (recall)"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def update_measures(versions: Sequence[MeasuredVersion]) -> dict[str, UpdateMeasures | None]:
    """For every version what it changed against the registered version before it; None for the first."""
    found: dict[str, UpdateMeasures | None] = {}
    line: list[tuple[MeasuredVersion, set[str]]] = []
    known: set[str] = set()
    for one in versions:
        own = set(one.films.loc[one.films["evidence"] == "held out", "sha256"])
        new = own - known
        found[one.version] = _measures(one, new, line) if line else None
        if one.registered:
            line.append((one, new))
            known |= own
    return found


def _measures(
    one: MeasuredVersion, new: set[str], line: Sequence[tuple[MeasuredVersion, set[str]]]
) -> UpdateMeasures:
    before, former = line[-1]
    both = new & set(before.films["sha256"])  # a film that only one of them was asked about compares nothing
    return UpdateMeasures(
        before=before.version,
        films=len(both),
        learning={name: _less(_score(one, both, name), _score(before, both, name)) for name in _FIGURES},
        potential={
            name: _less(_score(before, former, name), _score(before, both, name)) for name in _FIGURES
        },
        retention={name: _retention(one, [films for _, films in line], name) for name in _FIGURES},
    )


def _retention(one: MeasuredVersion, earlier: Sequence[set[str]], name: str) -> float | None:
    pairs = [
        (math.exp(-DECAY * age), value)
        for age, films in enumerate(reversed(earlier))
        if (value := _score(one, films, name)) is not None
    ]
    return sum(weight * value for weight, value in pairs) / sum(w for w, _ in pairs) if pairs else None


def _score(one: MeasuredVersion, films: set[str], name: str) -> float | None:
    return _FIGURES[name](one.films[one.films["sha256"].isin(films)], one.threshold).value


def _less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
