"""How a bucket is reached: credentials, region, time-outs, and a client that knows what an answer is."""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.s3_answers import refuse_what_is_no_answer

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

_NOWHERE = "us-east-1"  # what a store without regions expects


def open_session(settings: Settings) -> "Session":
    """Credentials from the settings, else boto3's own chain; BadConfiguration where that is broken."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        if settings.s3_access_key is None or settings.s3_secret_key is None:
            return boto3.session.Session()
        return boto3.session.Session(
            aws_access_key_id=settings.s3_access_key.get_secret_value(),
            aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        )
    except BotoCoreError as error:
        raise _unusable(settings, error) from error


def region_of(settings: Settings, session: "Session") -> str:
    """PNEUMO_S3_REGION, else boto3's own chain (AWS_DEFAULT_REGION, the profile), else AWS_REGION."""
    return settings.s3_region or session.region_name or os.environ.get("AWS_REGION") or _NOWHERE


def open_client(settings: Settings) -> "S3Client":
    """A client that asks again where an answer is none (see ``s3_answers``)."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    session = open_session(settings)
    config = Config(
        s3={"addressing_style": "path"} if settings.s3_endpoint else {},
        retries={"mode": "standard", "max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
    )
    try:
        client = session.client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            region_name=region_of(settings, session),
            config=config,
        )
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint without a scheme
        raise _unusable(settings, error) from error
    client.meta.events.register("before-parse.s3", refuse_what_is_no_answer)
    return client


def endpoint_of(client: "S3Client") -> str:
    """Where a client's requests go, as people write it: scheme, host and port, or "AWS"."""
    url = urlsplit(client.meta.endpoint_url)
    host = url.hostname or ""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return "AWS"
    return f"{url.scheme}://{host}{f':{url.port}' if url.port else ''}{url.path.rstrip('/')}"


def _unusable(settings: Settings, error: Exception) -> BadConfiguration:
    return BadConfiguration(
        "the object store cannot be reached with these settings",
        where=settings.s3_endpoint or "AWS",
        found=str(error),
        do="Check PNEUMO_S3_ENDPOINT (with http:// or https://), AWS_PROFILE and the files below ~/.aws.",
    )
