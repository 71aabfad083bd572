"""The ledger names the evidence that there was; what there was before there was a key a command seals."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.promotion.ledger.ledger import NewEntry
from pneumo_tasks.promotion.ledger.seals import append_sealed
from pneumo_tasks.promotion.verifying.signing import find_unsigned, sign_history
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.promotion.keys import key_pair

WITHDRAWN = NewEntry(kind="withdrawn", version=None, attempt="withdrawn-one", by="anna", reason="consent")


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    private, public = key_pair()
    return settings.model_copy(update={"signing_key": private, "trusted_key": public})


def failed(settings: Settings) -> list[str]:
    findings = verify(settings, ObjectStore.connect(settings))
    return [finding.detail for finding in findings if finding.verdict == "fail"]


def test_a_tally_that_was_cut_with_what_it_named_is_noticed_by_verify_and_not_sealed_anew(
    settings: Settings, store: ObjectStore
) -> None:
    private, public = key_pair()
    keyed = settings.model_copy(update={"signing_key": private, "trusted_key": public})
    writer = ObjectStore.connect(keyed)
    writer.put_json(layout.withdrawal("one"), {"batch_id": "one"})
    entry = append_sealed(keyed, writer, WITHDRAWN)
    assert entry.tally is not None
    assert entry.tally.startswith("1@")
    assert failed(keyed) == []
    store.delete(layout.withdrawal("one"))
    assert ["evidence was deleted" in detail for detail in failed(keyed)] == [True]
    store.delete(layout.tally_entry(1))
    assert ["not the one that was seen" in detail for detail in failed(keyed)] == [True]
    with pytest.raises(CorruptArtefact, match="not the one that was seen"):
        find_unsigned(keyed, store)


def test_an_entry_of_a_process_without_a_key_names_no_evidence(
    settings: Settings, store: ObjectStore
) -> None:
    append_sealed(settings, store, WITHDRAWN)
    assert "tally" not in store.read_json(layout.ledger_entry(1))


def test_a_bucket_with_a_history_that_gets_a_key_works_once_it_is_sealed(
    settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = "2026-11-27T08:00:00+00:00"
    store.put_json(layout.withdrawal("one"), {"batch_id": "one", "by": "anna", "reason": "r", "at": at})
    private, _ = key_pair()
    (tmp_path / "key.pem").write_text(private.get_secret_value())
    monkeypatch.setenv("PNEUMO_SIGNING_KEY", str(tmp_path / "key.pem"))
    refused = CliRunner().invoke(app, ["batch", "list"])
    assert refused.exit_code != 0
    assert "pneumo models sign" in str(refused.exception) + refused.output
    shown = CliRunner().invoke(app, ["models", "sign"])
    assert shown.exit_code == 1
    assert re.search(r"withdrawals +1 +20", shown.stdout)
    assert "Compare them with what you know" in shown.stdout
    assert layout.withdrawal("one") not in shown.stdout
    named = CliRunner().invoke(app, ["models", "sign", "--list"])
    assert layout.withdrawal("one") in named.stdout
    asked = json.loads(CliRunner().invoke(app, ["models", "sign", "--json"]).stdout)
    assert (asked["signed"], [one["key"] for one in asked["unsigned"]]) == ([], [layout.withdrawal("one")])
    assert CliRunner().invoke(app, ["batch", "list"]).exit_code != 0, "nobody said yes"
    signed = CliRunner().invoke(app, ["models", "sign", "--yes", "--json"])
    assert json.loads(signed.stdout) == {"signed": [layout.withdrawal("one")], "unsigned": []}
    assert CliRunner().invoke(app, ["batch", "list"]).exit_code == 0


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 1)])
def test_a_person_at_a_terminal_is_asked_before_anything_is_sealed(
    keyed: Settings, store: ObjectStore, tmp_path: Path, answer: str, code: int
) -> None:
    store.put(layout.withdrawal("one"), b"{}")
    assert keyed.signing_key is not None
    (tmp_path / "key.pem").write_text(keyed.signing_key.get_secret_value())
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "pneumo_tasks.cli", "models", "sign"], stdin=theirs, capture_output=True,
        text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PNEUMO_SIGNING_KEY": str(tmp_path / "key.pem"), "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert done.returncode == code, done.stderr
    assert "Sign and seal these 1 objects?" in done.stdout
    assert store.exists(layout.tally_entry(1)) is (code == 0)


def test_a_document_that_changed_since_a_person_saw_it_is_not_signed(
    keyed: Settings, settings: Settings, store: ObjectStore
) -> None:
    append_sealed(settings, store, WITHDRAWN)
    found = find_unsigned(keyed, store)
    store.put_json(layout.ledger_entry(1), {"forged": True})
    with pytest.raises(CorruptArtefact, match="digest differs"):
        sign_history(keyed, store, found)
    assert not store.exists(layout.signature_of(layout.ledger_entry(1)))
