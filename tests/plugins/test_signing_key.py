import json

import pytest

from pneumo_airflow.stages import with_signing_key
from pneumo_tasks.settings import Settings


def test_the_key_to_sign_with_comes_from_a_connection_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_PNEUMO_SIGNING", json.dumps({"conn_type": "generic", "password": "-----BEGIN PEM"})
    )
    found = with_signing_key(settings).signing_key
    assert found is not None
    assert found.get_secret_value() == "-----BEGIN PEM"
    assert "PEM" not in repr(with_signing_key(settings))
    named = Settings.load({"signing_key": "/key.pem"})
    assert with_signing_key(named) is named, "what the environment says comes first"


def test_without_that_connection_nothing_is_signed(settings: Settings) -> None:
    assert with_signing_key(settings) is settings
