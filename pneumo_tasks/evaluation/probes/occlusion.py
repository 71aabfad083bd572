"""Probes for shortcuts: what the model answers when a part of the film that holds no lung is masked."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.sample import first_of_each
from pneumo_tasks.films.imaging import Grey

RIM = 0.12
_IMAGES_A_CLASS = 48

Scorer = Callable[[Iterable[Grey]], NDArray[np.float32]]


class Occlusion(BaseModel):
    """AUC on some test images, whole and with the rim masked; ``shift`` is the absolute change."""

    model_config = ConfigDict(frozen=True)

    images: int
    rim: float
    auc: float | None
    auc_masked: float | None
    shift: float | None


def probe_sample(rows: pd.DataFrame) -> pd.DataFrame:
    """The same images each time: the first of each class by digest. A probe must stay cheap."""
    return first_of_each(rows, "label", _IMAGES_A_CLASS)


def occlude_rim(film: Grey, rim: float = RIM) -> Grey:
    """Replace the outer ``rim`` of each side by the film's mean grey.

    Markers, borders and tubes lie there, lungs do not: a model whose AUC moves with them reads
    the frame (Xin, Li & Yi 2021: internal AUC .95, external .54).
    """
    high, wide = (max(1, round(side * rim)) for side in film.shape)
    masked = np.full_like(film, round(float(film.mean())))
    masked[high:-high, wide:-wide] = film[high:-high, wide:-wide]
    return masked


def measure_occlusion(
    score: Scorer, sample: pd.DataFrame, films: Iterable[Grey], probability: NDArray[np.float64]
) -> Occlusion:
    """Score the masked ``films`` of ``sample``; ``probability`` is what they score whole."""
    from sklearn.metrics import roc_auc_score

    masked = score(_masked(films)).astype(np.float64)
    positive = (sample["label"] == "PNEUMONIA").to_numpy(bool)
    if not positive.any() or positive.all() or not np.isfinite(masked).all():
        return Occlusion(images=len(sample), rim=RIM, auc=None, auc_masked=None, shift=None)
    whole, without = (float(roc_auc_score(positive, given)) for given in (probability, masked))
    return Occlusion(images=len(sample), rim=RIM, auc=whole, auc_masked=without, shift=abs(whole - without))


def _masked(films: Iterable[Grey]) -> Iterator[Grey]:
    return (occlude_rim(film) for film in films)
