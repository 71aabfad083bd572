from collections.abc import Iterable

import numpy as np
import pandas as pd

from pneumo_tasks.evaluation.probes.occlusion import measure_occlusion, occlude_rim, probe_sample
from pneumo_tasks.films.imaging import Grey

LABELS = pd.DataFrame({"label": ["NORMAL", "PNEUMONIA"] * 10, "sha256": [f"{n:02d}" for n in range(20)]})


def by_mean(films: Iterable[Grey]) -> np.ndarray:
    return np.array([film.mean() / 255 for film in films], np.float32)


def test_the_rim_is_masked_and_the_inside_stays() -> None:
    film = np.arange(100 * 50, dtype=np.uint16).reshape(100, 50).astype(np.uint8)
    masked = occlude_rim(film)
    assert (masked[12:88, 6:44] == film[12:88, 6:44]).all()
    assert len(np.unique(masked[:12])) == 1
    assert masked.shape == film.shape


def test_a_model_that_reads_the_rim_is_found_out() -> None:
    films = [np.full((50, 50), 100, np.uint8) for _ in range(20)]
    for number, film in enumerate(films):
        film[:2] = 255 if number % 2 else 0  # the label is written on the film's upper rim
        film[24:26] = 255 - film[:2]  # ... and its mean does not tell

    def upper_rim(given: Iterable[Grey]) -> np.ndarray:
        return np.array([film[0].mean() / 255 for film in given], np.float32)

    found = measure_occlusion(upper_rim, LABELS, films, upper_rim(films).astype(float))
    assert (found.auc, found.auc_masked, found.shift) == (1.0, 0.5, 0.5)


def test_a_model_that_reads_the_lungs_does_not_move() -> None:
    films = [np.full((50, 50), 60 + 100 * (number % 2), np.uint8) for number in range(20)]
    found = measure_occlusion(by_mean, LABELS, films, by_mean(films).astype(float))
    assert (found.auc, found.auc_masked, found.shift) == (1.0, 1.0, 0.0)


def test_the_probe_takes_the_same_few_images_of_each_class() -> None:
    rows = pd.DataFrame({"label": ["NORMAL"] * 300 + ["PNEUMONIA"] * 100, "sha256": range(400)})
    sample = probe_sample(rows.sample(frac=1, random_state=1))
    assert sample["label"].value_counts().to_dict() == {"NORMAL": 48, "PNEUMONIA": 48}
    assert set(sample["sha256"]) == set(probe_sample(rows)["sha256"])
