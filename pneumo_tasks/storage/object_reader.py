"""Reading many whole objects at the cost of their bytes, where boto3's own work would be half of the time."""

from typing import TYPE_CHECKING, NamedTuple, Self

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.authorities import authority_file
from pneumo_tasks.storage.credentials import open_session, region_of
from pneumo_tasks.storage.digests import sha256
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.proven_reads import Received, is_proven

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store


class Fetched(NamedTuple):
    """The bytes of an object, or of a member of one, and their digest."""

    body: bytes
    sha256: str


class ObjectReader:
    """Reads through obstore; what it does not answer plainly, and proven, is asked of boto3 again.

    So errors, retries, verdicts, and the keys that obstore refuses are those of ``ObjectStore``.
    """

    def __init__(self, store: ObjectStore, fast: "S3Store | None") -> None:
        self.store, self.fast = store, fast

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Open the bucket of ``settings`` both ways, with the same credentials."""
        from obstore.auth.boto3 import Boto3CredentialProvider
        from obstore.store import S3Store

        store = ObjectStore.connect(settings)
        try:
            session = open_session(settings)
            provider = Boto3CredentialProvider(session)
        except ValueError:  # no credentials: the store says so in our words
            return cls(store, None)
        authority = authority_file(settings)
        fast = S3Store(
            settings.bucket,
            config=_address(settings, region_of(settings, session)),
            credential_provider=provider,
            client_options={
                "allow_http": True,
                "connect_timeout": "5s",
                "timeout": "60s",
                **({"root_certificate": authority.read_bytes()} if authority else {}),
            },
            retry_config={"max_retries": 0},
        )
        return cls(store, fast)

    def read(self, key: str) -> Fetched:
        """One object whole, and its sha256; CorruptArtefact if it is not what its writer recorded."""
        return self._read(key, None)

    def read_verified(self, key: str, expected_sha256: str) -> Fetched:
        """One object whose digest is known from elsewhere; CorruptArtefact where it has another."""
        return self._read(key, expected_sha256)

    def _read(self, key: str, expected: str | None) -> Fetched:
        received = self._fast(key)
        if received is not None and is_proven(received, expected):
            return Fetched(received.body, received.digest)
        body = self.store.get(key, expected).body
        return Fetched(body, sha256(body))

    def _fast(self, key: str) -> Received | None:
        """What obstore answers; None where it does not, or where the answer is not all of an object."""
        from obstore.exceptions import BaseError

        if self.fast is None:
            return None
        try:
            answer = self.fast.get(key)
            body = bytes(answer.bytes())
        except (BaseError, OSError, ValueError):  # ValueError: a key it does not take
            return None
        etag, size = answer.meta["e_tag"], answer.meta["size"]
        if not etag or size != len(body):
            return None
        recorded = answer.attributes.get("sha256")
        return Received(body, etag, {"sha256": str(recorded)} if recorded else {})


def _address(settings: Settings, region: str) -> "S3Config":
    """Where obstore asks for the bucket: at the same host and path as boto3."""
    if not settings.s3_endpoint:  # the certificate of AWS covers one label before its domain
        return {"region": region, "virtual_hosted_style_request": "." not in settings.bucket}
    if settings.s3_addressing == "path":
        return {"region": region, "virtual_hosted_style_request": False, "endpoint": settings.s3_endpoint}
    scheme, host = settings.s3_endpoint.split("://", 1)
    endpoint = f"{scheme}://{settings.bucket}.{host}"
    return {"region": region, "virtual_hosted_style_request": True, "endpoint": endpoint}
