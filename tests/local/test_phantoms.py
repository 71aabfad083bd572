import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pneumo_tasks.local.phantoms import SIDE, Phantom, draw_phantoms, write_phantoms
from pneumo_tasks.settings import PUBLIC_PATIENT_PATTERN


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return draw_phantoms(seed=3, train_per_label=90, test_per_label=40)


def _labels(phantoms: list[Phantom]) -> np.ndarray:
    return np.array([phantom.label == "PNEUMONIA" for phantom in phantoms])


def test_same_seed_same_pixels_other_seed_other_pixels() -> None:
    first, again, other = (draw_phantoms(seed, 2, 1) for seed in (1, 1, 2))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].pixels, other[0].pixels)


def test_counts_are_exact_and_no_two_images_are_equal(phantoms: list[Phantom]) -> None:
    counts = {(split, label): 0 for split in ("train", "test") for label in ("NORMAL", "PNEUMONIA")}
    for phantom in phantoms:
        assert phantom.pixels.shape == (SIDE, SIDE)
        assert phantom.pixels.dtype == np.uint8
        counts[phantom.split, phantom.label] += 1
    assert set(counts.values()) == {90, 40}
    assert len({phantom.pixels.tobytes() for phantom in phantoms}) == len(phantoms)


@pytest.mark.parametrize("statistic", [np.mean, np.std, np.median, np.min, np.max])
def test_no_threshold_on_a_grey_statistic_tells_the_classes(phantoms: list[Phantom], statistic) -> None:
    values = np.array([statistic(phantom.pixels) for phantom in phantoms])
    area = roc_auc_score(_labels(phantoms), values)
    assert max(area, 1 - area) < 0.65


def test_where_the_bright_areas_lie_does_tell_the_classes(phantoms: list[Phantom]) -> None:
    thumbnails = np.stack(
        [np.asarray(Image.fromarray(phantom.pixels).resize((24, 24))).ravel() / 255 for phantom in phantoms]
    )
    train = np.array([phantom.split == "train" for phantom in phantoms])
    labels = _labels(phantoms)
    model = LogisticRegression(C=0.1, max_iter=1000).fit(thumbnails[train], labels[train])
    assert roc_auc_score(labels[~train], model.decision_function(thumbnails[~train])) > 0.95


def test_the_public_pattern_reads_a_patient_from_every_name(phantoms: list[Phantom]) -> None:
    patients: dict[str, set[tuple[str, ...]]] = {"train": set(), "test": set()}
    images: dict[tuple[str, ...], int] = {}
    for phantom in phantoms:
        match = re.match(PUBLIC_PATIENT_PATTERN, phantom.name)
        assert match, phantom.name
        key = tuple(group for group in match.groups() if group)
        patients[phantom.split].add(key)
        images[key] = images.get(key, 0) + 1
    assert not patients["train"] & patients["test"]
    assert max(images.values()) > 1


def test_files_come_in_the_public_layout_as_grey_jpeg(tmp_path: Path) -> None:
    phantoms = draw_phantoms(seed=1, train_per_label=3, test_per_label=2)
    write_phantoms(tmp_path, phantoms)
    files = sorted(tmp_path.rglob("*.jpeg"))
    assert len(files) == len(phantoms) == 10
    assert {str(file.parent.relative_to(tmp_path)) for file in files} == {
        "train/NORMAL", "train/PNEUMONIA", "test/NORMAL", "test/PNEUMONIA",
    }  # fmt: skip
    with Image.open(files[0]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (SIDE, SIDE))
