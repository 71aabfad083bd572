"""Which region and which endpoint a store is reached in, and what is told where it cannot be."""

import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.credentials import moment, open_session
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.sessions import open_client


@pytest.fixture(autouse=True)
def _no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")


def test_the_region_is_the_settings_then_that_of_the_aws_variables(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_client(settings).meta.region_name == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert open_client(settings).meta.region_name == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "garage")
    assert open_client(settings).meta.region_name == "garage"
    own = settings.model_copy(update={"s3_region": "eu-central-1"})
    assert open_client(own).meta.region_name == "eu-central-1"


def test_an_address_holds_no_secret_and_one_form(settings: Settings) -> None:
    endpoint = "http://someone:secret@store.hospital:9000/"
    address = ObjectStore.connect(settings.model_copy(update={"s3_endpoint": endpoint})).address
    assert address == {"endpoint": "http://store.hospital:9000", "bucket": settings.bucket}
    aws = settings.model_copy(update={"s3_endpoint": None, "s3_region": "eu-central-1"})
    assert ObjectStore.connect(aws).address["endpoint"] == "AWS"


def test_an_endpoint_without_a_scheme_and_a_strange_profile_are_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadConfiguration, match="http://"):
        ObjectStore.connect(settings.model_copy(update={"s3_endpoint": "store:9000"}))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BadConfiguration, match="AWS_PROFILE"):
        ObjectStore.connect(settings)


@pytest.mark.parametrize(
    "told", ["2026-11-27T06:30:15.250Z", "2026-11-27T06:30:15Z", "Fri, 27 Nov 2026 06:30:15 GMT", 1795761015]
)
def test_a_time_is_read_as_botocore_reads_it(told: object) -> None:
    from botocore.utils import parse_timestamp

    assert moment(told) == parse_timestamp(told)
    assert moment(told).tzinfo is not None


def test_what_botocore_knows_of_s3_is_read_once_a_process(settings: Settings) -> None:
    first, second = (open_session(settings)._session.get_component("data_loader") for _ in range(2))
    assert first is second
    assert len(set(first.search_paths)) == len(first.search_paths)  # each session names its own folder
