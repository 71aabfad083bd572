"""Inputs that people had trouble with: the check says of each what the validation says of it."""

from pathlib import Path

import pytest

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.checking import SendersCheck, check_path
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.inputs import INPUTS, Given

# One of each kind goes both ways whenever the tests run, the others in the slow tests.
BOTH_WAYS = {
    "carriage returns", "one file, two patients", "open quote", "zip, one root and a table",
    "zip, a name that is not what its flag says", "zip, train and test", "tar, a latin-1 name",
    "folder, train and test", "folder, a latin-1 name", "dicom, one id of three issuers",
}  # fmt: skip


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, environment: None) -> Settings:
    """The sender's machine: no bucket answers."""
    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", "http://127.0.0.1:9")
    return Settings.load()


@pytest.mark.parametrize("name", INPUTS)
def test_the_check_says_what_becomes_of(name: str, offline: Settings, tmp_path: Path) -> None:
    given = INPUTS[name]
    found = check_path(offline, given.pack(tmp_path / "b"), "train").answer
    _expect(found, given)
    assert found.exit_code == {"refused": 1, "rejected": 2}.get(found.state, 2 if given.rules else 0)


def _expect(found: SendersCheck, given: Given) -> None:
    broken = tuple(file.rule for file in found.files if file.rule)
    good = sum(file.state == "accepted" for file in found.files)
    seen = (found.state, good, found.patients, broken)
    assert seen == (given.state, given.good, given.patients, given.rules), found
    assert given.says in " ".join([*found.reasons, *found.warnings])
    assert [file.file for file in found.files] == sorted(file.file for file in found.files)


@pytest.mark.parametrize(
    "name", [name if name in BOTH_WAYS else pytest.param(name, marks=pytest.mark.slow) for name in INPUTS]
)
def test_the_validation_says_what_the_check_said_of(
    name: str, monkeypatch: pytest.MonkeyPatch, store: ObjectStore, tmp_path: Path
) -> None:
    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    settings = Settings.load()
    path = INPUTS[name].pack(tmp_path / "b")
    checked = check_path(settings, path, "train").answer
    try:
        upload_batch(settings, store, path, "w1", "train")
    except BadBatch:  # a folder is looked at before anything is sent
        assert checked.state == "refused"
        return
    verdict = validate_batch(settings, store, "w1")
    assert (verdict.reasons, verdict.warnings) == (checked.reasons, checked.warnings)
    assert verdict.state == ("rejected" if checked.state == "refused" else checked.state)
    assert [(r.file, r.rule, r.value, r.limit) for r in verdict.rejected] == [
        (file.file, file.rule, file.value, file.limit) for file in checked.files if file.rule
    ]
