"""The processes that inspect files, and what they find."""

import os

import numpy as np
import pytest
from PIL import Image

from pneumo_tasks.errors import WorkerLost
from pneumo_tasks.films.imaging import Limits, decode_grey
from pneumo_tasks.intake.containers.archives import Source
from pneumo_tasks.intake.inspecting import inspectors
from pneumo_tasks.intake.inspecting.inspection import Facts, inspect_bytes
from pneumo_tasks.intake.inspecting.inspectors import Assignment, inspect_files
from pneumo_tasks.intake.rules.near_duplicates import MIN_CORRELATION, correlation, first_matches
from pneumo_tasks.settings import Settings
from tests.intake.films import film, jpeg, png


def die(_: dict[str, str]) -> None:
    os._exit(1)


def test_a_process_that_cannot_start_says_nothing_about_any_film(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspectors, "_settle", die)
    films = [Source(f"{number}.jpeg", f"incoming/b/{number}.jpeg") for number in range(3)]
    with pytest.raises(WorkerLost, match="do not start"):
        inspect_files(Assignment(settings, "b", "0" * 64), films)


def test_copies_of_a_large_film_are_known_whatever_the_file() -> None:
    pixels = np.asarray(Image.fromarray(film(1)).resize((1200, 1100)))
    sent = inspected(jpeg(pixels, quality=90))
    commented = inspected(jpeg(pixels, quality=90, comment=b"sent again"))
    as_png = inspected(png(decode_grey(jpeg(pixels, quality=90))))
    assert (sent.width, sent.height) == (as_png.width, as_png.height) == (1200, 1100)
    assert sent.sha256 != commented.sha256
    assert sent.pixel_digest == commented.pixel_digest
    known = [as_png.phash or b""], [as_png.thumbnail or b""]
    assert first_matches(([sent.phash or b""], [sent.thumbnail or b""]), known, 32) != [None]
    assert correlation(sent.thumbnail or b"", as_png.thumbnail or b"") > MIN_CORRELATION
    assert sent.grey_mean == pytest.approx(as_png.grey_mean, abs=1)
    assert sent.grey_deviation == pytest.approx(as_png.grey_deviation, abs=1)


def inspected(data: bytes) -> Facts:
    return inspect_bytes("film", "film", data, Limits()).facts
