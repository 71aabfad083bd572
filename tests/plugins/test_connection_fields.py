"""Every field of a connection that Airflow's Amazon provider documents is obeyed, or refused by its name."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pneumo_airflow.connection import connection_settings
from pneumo_airflow.connection_fields import fields_as_settings
from pneumo_airflow.stages import open_store, run_settings
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore


def fields(extra: dict[str, Any], **given: Any) -> dict[str, Any]:
    named = {"login": None, "password": None, "host": None, "port": None} | given
    found = fields_as_settings(SimpleNamespace(conn_id="pneumo_s3", extra_dejson=extra, **named))
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("extra", "given", "expected"),
    [
        ({"service_config": {"s3": {"endpoint_url": "http://a:9000"}}, "endpoint_url": "http://b"}, {},
         {"s3_endpoint": "http://a:9000"}),
        ({"endpoint_url": "http://b"}, {"host": "http://c"}, {"s3_endpoint": "http://b"}),
        ({}, {"host": "http://c", "port": 9000}, {"s3_endpoint": "http://c:9000"}),
        ({"service_config": {"s3": {"bucket_name": "films"}}}, {}, {"bucket": "films"}),
        ({"service_config": {"sqs": {"endpoint_url": "http://q"}}}, {}, {}),
        ({"aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_session_token": "t"}, {},
         {"s3_access_key": "k", "s3_secret_key": "s", "s3_session_token": "t"}),
        ({"aws_access_key_id": "k"}, {"login": "l", "password": "p"},
         {"s3_access_key": "l", "s3_secret_key": "p"}),
        ({"session_kwargs": {"profile_name": "clinic"}}, {}, {"s3_profile": "clinic"}),
        ({"role_arn": "arn:aws:iam::1:role/r", "assume_role_kwargs": {"ExternalId": "x"}}, {},
         {"s3_role_arn": "arn:aws:iam::1:role/r", "s3_role_external_id": "x"}),
        ({"verify": "/etc/ca.pem"}, {}, {"ca_bundle": "/etc/ca.pem"}),
        ({"verify": True, "region_name": "garage"}, {}, {"s3_region": "garage"}),
    ],
)  # fmt: skip
def test_a_field_is_obeyed(extra: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields(extra, **given) == expected


@pytest.mark.parametrize(
    ("extra", "given", "named"),
    [
        ({"verify": False}, {}, "verify: false"),
        ({"verify": "False"}, {}, "verify: false"),
        ({"config_kwargs": {"signature_version": "s3"}}, {}, "config_kwargs"),
        ({"session_kwargs": {"botocore_session": 1}}, {}, r"session_kwargs\.botocore_session"),
        ({"assume_role_method": "assume_role_with_saml"}, {}, "assume_role_with_saml"),
        ({"assume_role_kwargs": {"PolicyArns": []}}, {}, r"assume_role_kwargs\.PolicyArns"),
        ({"service_config": {"s3": {"addressing_style": "x"}}}, {}, r"s3\.addressing_style"),
        ({"endpoint": "http://a"}, {}, "endpoint"),
        ({}, {"host": "store.hospital"}, "host store.hospital without http"),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused_by_its_name(
    extra: dict[str, Any], given: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadConfiguration, match=named):
        fields(extra, **given)


def test_the_connection_counts_although_the_environment_has_a_key(
    settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("here", b"1")
    real = {"conn_type": "aws", "extra": {
        "service_config": {"s3": {"endpoint_url": settings.s3_endpoint, "bucket_name": settings.bucket}},
    }}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_S3", json.dumps(real))
    monkeypatch.delenv("PNEUMO_S3_ENDPOINT")
    monkeypatch.setenv("PNEUMO_BUCKET", "another")
    assert open_store(run_settings({})).read("here") == b"1"  # the key pair is the environment's
    monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_S3", json.dumps(real | {"login": "wrong", "password": "wrong"}))
    assert connection_settings()["s3_access_key"] == "wrong"
    with pytest.raises(BadConfiguration, match="refused the credentials"):
        open_store(run_settings({})).read("here")


def test_half_a_key_pair_is_one_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_S3", json.dumps({"conn_type": "aws", "login": "half"}))
    with pytest.raises(BadConfiguration, match="go together"):
        run_settings({})
