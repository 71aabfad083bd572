"""Robustness: how far the AUC falls when films are altered in ways that change no diagnosis."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import roc_auc_score

from pneumo_tasks.evaluation.probes.occlusion import occlude_rim
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.training.framing.reframing import REFRAMINGS

Scorer = Callable[[Iterable[Grey]], NDArray[np.float32]]


class Altered(BaseModel):
    """AUC on altered films; ``fall`` is what the same films lose by it."""

    model_config = ConfigDict(frozen=True)

    alteration: str
    auc: float
    fall: float


def measure_robustness(
    score: Scorer,
    films: Sequence[Grey],
    ill: NDArray[np.bool_],
    alterations: Mapping[str, Callable[[Grey], Grey]],
) -> list[Altered]:
    """One row for the films as they are, then one for each alteration of all of them."""
    whole = float(roc_auc_score(ill, score(films)))
    rows = [Altered(alteration="none", auc=whole, fall=0.0)]
    for name, alter in alterations.items():
        auc = float(roc_auc_score(ill, score(alter(film) for film in films)))
        rows.append(Altered(alteration=name, auc=auc, fall=whole - auc))
    return rows


def with_gamma(film: Grey, gamma: float) -> Grey:
    return np.rint((film / 255.0) ** gamma * 255).astype(np.uint8)


def as_poor_jpeg(film: Grey, quality: int = 40) -> Grey:
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


ALTERATIONS: dict[str, Callable[[Grey], Grey]] = {
    **REFRAMINGS,
    "rim of 12 % masked": occlude_rim,
    "gamma 0.7": lambda film: with_gamma(film, 0.7),
    "gamma 1.4": lambda film: with_gamma(film, 1.4),
    "JPEG quality 40": as_poor_jpeg,
    "mirrored": lambda film: np.ascontiguousarray(film[:, ::-1]),
}
