"""Whose credentials a bucket is reached with: the settings', a role's, or those of boto3's own chain."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.loaders import Loader
    from pydantic import SecretStr

# What botocore calls the place where it found them, for people.
_PLACES = {
    "explicit": "PNEUMO_S3_ACCESS_KEY or the Airflow connection",
    "env": "AWS_ACCESS_KEY_ID of the environment",
    "shared-credentials-file": "~/.aws/credentials",
    "config-file": "~/.aws/config",
    "custom-process": "a credential_process",
    "assume-role": "a role that is assumed",
}


_NOWHERE = "us-east-1"  # what a store without regions expects


def open_session(settings: Settings) -> "Session":
    """Credentials that renew themselves where they can; BadConfiguration where they are broken."""
    import boto3
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        core = botocore.session.get_session()
        core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
        session = boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=_plain(settings.s3_access_key),
            aws_secret_access_key=_plain(settings.s3_secret_key),
            aws_session_token=_plain(settings.s3_session_token),
            profile_name=settings.s3_profile,
        )
        if settings.s3_role_arn:
            _assume_role(session, settings, settings.s3_role_arn)
        session.get_credentials()
    except (BotoCoreError, ValueError, OSError) as error:  # a process that prints no JSON, or is not there
        raise unusable(settings, error) from error
    return session


class _Places(list[str]):
    """Folders, each of them once: every session of boto3 adds its own to those of the loader."""

    def append(self, place: str) -> None:
        if place not in self:
            super().append(place)


@cache
def _descriptions(places: str | None) -> "Loader":
    """What botocore's files say of S3, read once a process: reading it is most of what a client costs."""
    from botocore.loaders import Loader

    return Loader(extra_search_paths=_Places(places.split(os.pathsep) if places else ()))


def moment(told: Any) -> datetime:
    """A time as S3 tells it. botocore's own reading of dates is most of what a long listing costs."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):  # in a body, in a header
        with suppress(AttributeError, TypeError, ValueError):
            found = read(told)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    from botocore.utils import parse_timestamp

    return parse_timestamp(told)


def region_of(settings: Settings, session: "Session") -> str:
    """PNEUMO_S3_REGION, else boto3's own chain (AWS_DEFAULT_REGION, the profile), else AWS_REGION."""
    return settings.s3_region or session.region_name or os.environ.get("AWS_REGION") or _NOWHERE


def describe_credentials(settings: Settings) -> str:
    """Where the credentials come from, and how the key begins; BadConfiguration where there are none."""
    found = open_session(settings).get_credentials()
    if found is None:
        raise BadConfiguration(
            "no credentials for the object store",
            do="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, PNEUMO_S3_PROFILE, or give the Airflow "
            "connection pneumo_s3 a login and a password.",
        )
    if settings.s3_role_arn:
        return f"of {settings.s3_role_arn}, assumed with other credentials"
    return f"of {_PLACES.get(found.method, found.method)}, key {found.access_key[:4]}…"


def unusable(settings: Settings, error: Exception) -> BadConfiguration:
    return BadConfiguration(
        "the object store cannot be reached with these settings",
        where=settings.s3_endpoint or "AWS",
        found=" ".join(str(error).split())[:300],
        do="Check PNEUMO_S3_ENDPOINT (with http:// or https://), AWS_PROFILE and the files below ~/.aws.",
    )


def _plain(secret: "SecretStr | None") -> str | None:
    return secret.get_secret_value() if secret else None


def _assume_role(session: "Session", settings: Settings, role: str) -> None:
    """Let the session work in a role, which is assumed again before its keys expire: a run may take hours."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    core: Any = session._session
    extra = {"ExternalId": settings.s3_role_external_id} if settings.s3_role_external_id else {}
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(core.create_client, region_name=region_of(settings, session)),
        source_credentials=session.get_credentials(),
        role_arn=role,
        extra_args={"RoleSessionName": "pneumo", **extra},
    )
    core._credentials = DeferredRefreshableCredentials(
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
