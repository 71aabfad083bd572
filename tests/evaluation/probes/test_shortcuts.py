from typing import Any

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.evaluation import frame_shift
from pneumo_tasks.evaluation.frame_shift import measure_frame_shift
from pneumo_tasks.evaluation.probes.shift import ShiftFact
from pneumo_tasks.evaluation.probes.shortcuts import (
    Framed,
    FrameGauge,
    drawn_frames,
    in_pixels,
    mirrored_rim,
    shortcut_auc,
)
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.framing.affine_maps import BOX, FILM_EDGE, IDENTITY, SIDE
from pneumo_tasks.training.framing.reframing import reframed
from pneumo_tasks.training.framing.template import fit_template
from tests.snapshots import summarise
from tests.training.aligned import chests

RNG = np.random.default_rng(0)


def test_a_nuisance_that_tells_the_label_is_found_and_noise_is_not() -> None:
    ill = np.arange(400) % 2 == 1
    patients = [f"p:{number // 2}" for number in range(400)]
    noise = RNG.normal(size=(400, 6))
    assert 0.4 < shortcut_auc(noise, ill, patients) < 0.6
    told = noise.copy()
    told[:, 4] += 2 * ill
    assert shortcut_auc(told, ill, patients) > 0.85


def test_a_label_that_hangs_on_the_patient_alone_is_no_finding() -> None:
    """Films of one patient are alike; without whole patients out of fold, they would give it away."""
    ill = np.repeat(RNG.random(60) < 0.5, 6)
    alike = np.repeat(RNG.normal(size=(60, 4)), 6, axis=0) + RNG.normal(0, 0.01, (360, 4))
    assert shortcut_auc(alike, ill, [f"p:{number // 6}" for number in range(360)]) < 0.65


@pytest.fixture(scope="module")
def leaning() -> tuple[list[Any], "np.ndarray[Any, np.dtype[np.bool_]]", FrameGauge]:
    """Drawn chests whose NORMAL films are all lower than their frame, and a gauge for them."""
    films, ill = chests(40)
    template, _ = fit_template(films[::4], ill[::4], rounds=0)
    framed = [film if sick else reframed(film, 1.0, 0.88) for film, sick in zip(films, ill, strict=True)]
    return framed, ill, FrameGauge(template, rounds=(6, 4))


def test_the_standard_frame_takes_the_geometry_away(leaning: Any) -> None:
    films, ill, gauge = leaning
    before, after = gauge.measure(films)
    patients = [str(number) for number in range(len(films))]
    assert shortcut_auc(before.geometry, ill, patients) > 0.8
    assert before.aligned.mean() > 0.8
    heights = [np.abs(seen.geometry[before.aligned, 4] - 1).mean() for seen in (before, after)]
    assert heights[1] < 0.5 * heights[0]
    assert before.thumbnail.shape == after.thumbnail.shape == (80, 32, 32)
    assert shortcut_auc(in_pixels(after.geometry), ill, patients) < 0.65


def test_a_film_in_the_standard_frame_lies_within_a_pixel_of_where_it_should(leaning: Any) -> None:
    films, _, gauge = leaning
    before, after = (in_pixels(seen.geometry) for seen in gauge.measure(films))
    identity = in_pixels(IDENTITY)
    assert (np.abs(before - identity).max(1) > 3).mean() > 0.8
    assert (np.abs(after - identity).max(1) <= 1).mean() > 0.7


def test_the_rim_that_had_to_be_mirrored_is_measured_at_each_corner() -> None:
    maps = np.array([[1, 0, 0, 0, 1, 0], [1, 0, 0.3, 0, 1, 0], [1, 0, 0, 0, 1.3, 0]], np.float64)
    inside, right, taller = mirrored_rim(maps)
    assert not inside.any()
    right_edge = 2 * BOX[1] / SIDE - 1
    np.testing.assert_allclose(right[[1, 3]], right_edge + 0.3 / FILM_EDGE - 1)
    assert not right[[0, 2, 4, 5, 6, 7]].any()
    top_edge = 2 * BOX[2] / SIDE - 1
    np.testing.assert_allclose(taller[[4, 5]], -1.3 * top_edge - 1)


def test_framing_drawn_at_random_tells_no_label(leaning: Any) -> None:
    films, ill, gauge = leaning
    drawn = list(drawn_frames(films))
    patients = [str(number) for number in range(len(films))]
    told = [shortcut_auc(gauge.measure(given)[0].geometry, ill, patients) for given in (films, drawn)]
    assert told[1] < told[0] - 0.1
    for one, again in zip(drawn, drawn_frames(films), strict=True):
        np.testing.assert_array_equal(one, again)


def test_a_bucket_without_a_template_says_nothing(environment: None, store: ObjectStore) -> None:
    assert measure_frame_shift(Settings.load(), store, "snapshot-1", pd.DataFrame()) == []


def test_the_facts_are_kept_with_the_snapshot_and_warn_of_what_exceeds_a_limit(
    environment: None, store: ObjectStore, leaning: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, ill, gauge = leaning
    number = np.arange(120) % 80  # all films to train on, forty of them to test on too
    rows = pd.DataFrame(
        {
            "sha256": [f"{place:03d}" for place in range(120)],
            "label": np.where(ill[number], "PNEUMONIA", "NORMAL"),
            "patient": [f"p:{place}" for place in range(120)],
            "split": np.where(np.arange(120) < 80, "train", "test"),
            "batch_id": "b1",
            "created_at": "2026-11-25",
            "width": 224,
            "height": 224,
            "bytes": RNG.integers(5000, 9000, 120),
        }
    )
    test = rows[rows["split"] == "test"]
    store.put(layout.dataset("s", "training.parquet"), rows[rows["split"] != "test"].to_parquet(index=False))
    summarise(store, "s")
    monkeypatch.setattr(frame_shift, "read_template", lambda _: np.ones((56, 56), np.float32))
    monkeypatch.setattr(frame_shift, "FrameGauge", lambda _: gauge)
    monkeypatch.setattr(
        frame_shift, "read_images", lambda _, __, chosen: [films[int(name) % 80] for name in chosen["sha256"]]
    )
    monkeypatch.setattr(frame_shift, "_FEWEST", 5)
    facts = measure_frame_shift(Settings.load(), store, "s", test)
    by_name: dict[tuple[str, str], ShiftFact] = {(fact.subject, fact.name): fact for fact in facts}
    geometry = by_name["training films", "label from geometry alone, as received"]
    assert geometry.verdict == "warning"
    assert float(geometry.found) > float(geometry.limit.removeprefix("at most "))
    drawn = by_name["training films", "label from geometry alone, in the standard frame, if framed at random"]
    assert (drawn.verdict, drawn.limit) == ("pass", "")
    assert 0 <= float(drawn.found) <= 1
    for frame in ("as received", "in the standard frame"):
        assert 0 <= float(by_name["training films", f"label from texture alone, {frame}"].found) <= 1
    rim = by_name["training films", "label from the mirrored rim alone, in the standard frame"]
    assert 0 <= float(rim.found) <= 1
    assert ("train against test, NORMAL", "adversarial AUC, in the standard frame") in by_name
    assert "of 40" in by_name["test films, NORMAL", "not brought to the standard frame"].found

    monkeypatch.setattr(frame_shift, "FrameGauge", lambda _: pytest.fail("measured again"))
    assert measure_frame_shift(Settings.load(), store, "s", test) == facts


@pytest.mark.parametrize(("failed", "verdict"), [(2, "pass"), (3, "warning")])
def test_a_label_that_misses_the_frame_more_often_is_a_warning(failed: int, verdict: str) -> None:
    films = pd.DataFrame({"split": "train", "label": ["NORMAL"] * 40 + ["PNEUMONIA"] * 40})
    aligned = np.arange(80) >= failed
    nothing = np.zeros((80, 1))
    seen = Framed(nothing, nothing, nothing, nothing.astype(np.uint8), aligned)
    *_, apart = frame_shift._alignment(Settings.model_construct(max_unaligned=0.25), films, seen)
    assert (apart.verdict, apart.found) == (verdict, f"{100 * failed / 40:.1f} points")


def test_a_device_that_draws_finer_is_found_by_texture(leaning: Any) -> None:
    """Fine noise on every healthy film: its texture tells the label, as received and framed."""
    films, ill, gauge = leaning
    rng = np.random.default_rng(1)
    finer = [
        film if sick else np.clip(film + rng.normal(0, 15, film.shape), 0, 255).astype(np.uint8)
        for film, sick in zip(films, ill, strict=True)
    ]
    patients = [str(number) for number in range(len(films))]
    for seen in gauge.measure(finer):
        assert shortcut_auc(seen.texture[:, 3:5], ill, patients) > 0.9
