"""Reading many whole objects at the cost of their bytes, where boto3's own work would be half of the time."""

from typing import TYPE_CHECKING, NamedTuple, Self

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, check_recorded, open_session, sha256

if TYPE_CHECKING:
    from obstore.store import S3Store


class Fetched(NamedTuple):
    """The bytes of an object, or of a member of one, and their digest."""

    body: bytes
    sha256: str


class ObjectReader:
    """Reads through obstore; what it does not answer plainly is asked of boto3 again.

    So errors, retries, and the keys that obstore refuses are those of ``ObjectStore``.
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
            provider = Boto3CredentialProvider(open_session(settings))
        except ValueError:  # no credentials: the store says so in our words
            return cls(store, None)
        fast = S3Store(
            settings.bucket,
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            virtual_hosted_style_request=not settings.s3_endpoint,
            credential_provider=provider,
            client_options={"allow_http": True, "connect_timeout": "5s", "timeout": "60s"},
            retry_config={"max_retries": 0},
        )
        return cls(store, fast)

    def read(self, key: str) -> Fetched:
        """One object whole, and its sha256; CorruptArtefact if it is not what its writer recorded."""
        from obstore.exceptions import BaseError

        if self.fast is None:
            return self._slowly(key)
        try:
            answer = self.fast.get(key)
            body = bytes(answer.bytes())
        except (BaseError, OSError, ValueError):  # ValueError: a key it does not take
            return self._slowly(key)
        digest = sha256(body)
        check_recorded(answer.attributes.get("sha256"), digest, key)
        return Fetched(body, digest)

    def _slowly(self, key: str) -> Fetched:
        body = self.store.read(key)
        return Fetched(body, sha256(body))
