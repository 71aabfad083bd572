"""Films of every kind in one batch: the check and the validation say the same, and the pixels are right."""

from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks.films.imaging import decode_grey
from pneumo_tasks.intake.checking import FileCheck, check_path
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.intake.film_inputs import FILMS
from tests.intake.films import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("films"), {name: sent.data for name, sent in FILMS.items()})


@pytest.fixture(scope="module")
def checked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, FileCheck], Path]:
    pixels = tmp_path_factory.mktemp("pixels")
    settings = Settings(pseudonym_key="a key that nobody guesses", s3_endpoint="http://127.0.0.1:9")
    return {file.file: file for file in check_path(settings, folder, "train", pixels).answer.files}, pixels


@pytest.mark.parametrize("name", FILMS)
def test_a_film_comes_in_as_it_has_to_be_shown(name: str, checked: tuple[dict[str, FileCheck], Path]) -> None:
    sent, found = FILMS[name], checked[0][name]
    assert found.rule == sent.rule, found
    if sent.grey is not None:
        shown = decode_grey((checked[1] / f"{name}.png").read_bytes())
        assert np.abs(shown.astype(int) - sent.grey).max() <= 1
        assert found.pixels_sha256 == sha256(shown.tobytes())


def test_the_validation_says_of_each_film_what_the_check_said(
    folder: Path,
    checked: tuple[dict[str, FileCheck], Path],
    monkeypatch: pytest.MonkeyPatch,
    store: ObjectStore,
) -> None:
    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    settings = Settings.load()
    upload_batch(settings, store, folder, "w1", "train")
    verdict = validate_batch(settings, store, "w1")
    said = [(f.file, f.rule, f.value, f.limit) for f in checked[0].values() if f.rule]
    assert [(r.file, r.rule, r.value, r.limit) for r in verdict.rejected] == said
    accepted = accepted_images(store).set_index("file")
    good = {file.file: file for file in checked[0].values() if not file.rule}
    assert sorted(accepted.index) == sorted(good)
    for name, file in good.items():
        assert accepted["patient"][name] == file.patient
        assert sha256(decode_grey(store.read(accepted["key"][name])).tobytes()) == file.pixels_sha256
