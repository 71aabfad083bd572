"""How a bucket is reached: region, time-outs, and a client that knows what an answer is."""

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pneumo_tasks.secret_values import is_open_way
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.authorities import authority_file
from pneumo_tasks.storage.credentials import open_session, region_of, unusable
from pneumo_tasks.storage.s3_answers import refuse_what_is_no_answer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)


def open_client(settings: Settings) -> "S3Client":
    """A client that asks again where an answer is none (see ``s3_answers``).

    Each write asks for the encryption of the settings, where they name one.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    if settings.s3_endpoint and is_open_way(settings.s3_endpoint):
        log.warning("%s is not encrypted: whoever is on the way reads along", settings.s3_endpoint)
    session, authority = open_session(settings), authority_file(settings)
    config = Config(
        s3={"addressing_style": settings.s3_addressing} if settings.s3_endpoint else {},
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
            verify=str(authority) if authority else None,
        )
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint without a scheme
        raise unusable(settings, error) from error
    client.meta.events.register("before-parse.s3", refuse_what_is_no_answer)
    _ask_for_encryption(settings, client)
    return client


def _ask_for_encryption(settings: Settings, client: "S3Client") -> None:
    asked = {"ServerSideEncryption": settings.s3_encryption, "SSEKMSKeyId": settings.s3_kms_key}

    def ask(params: dict[str, Any], **_: Any) -> None:
        params.update({name: value for name, value in asked.items() if value})

    for operation in ("PutObject", "CreateMultipartUpload"):
        client.meta.events.register(f"before-parameter-build.s3.{operation}", ask)


def endpoint_of(client: "S3Client") -> str:
    """Where a client's requests go, as people write it: scheme, host and port, or "AWS"."""
    url = urlsplit(client.meta.endpoint_url)
    host = url.hostname or ""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return "AWS"
    return f"{url.scheme}://{host}{f':{url.port}' if url.port else ''}{url.path.rstrip('/')}"
