"""What the S3 client's exceptions mean to us: final, or worth another try."""

from typing import Any

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    ObjectMissing,
    PneumoError,
    StorageUnavailable,
)

_CONDITION_CODES = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_MISSING_CODES = {"NoSuchKey", "NotFound", "404"}


class S3Errors:
    """A context manager that turns boto3's exceptions inside the block into ours.

    ``where`` is what the message names; ``conditional`` says that a 404 is a failed condition.
    """

    def __init__(self, where: str, conditional: bool) -> None:
        self.where, self.conditional = where, conditional

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        if isinstance(error, ClientError):
            raise self._from_answer(error) from error
        if isinstance(error, NoCredentialsError):
            raise BadConfiguration(
                "no credentials for the object store",
                where=self.where,
                do="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the Airflow connection pneumo_s3.",
            ) from None
        if isinstance(error, BotoCoreError | Boto3Error):
            raise StorageUnavailable(
                "the object store did not answer",
                where=self.where,
                found=str(error),
                do="Check PNEUMO_S3_ENDPOINT and the server.",
            ) from error

    def _from_answer(self, error: Any) -> PneumoError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        found = f"{status} {code}"
        # A status of 404 alone proves no absence: VersityGW also answers it to an unknown access key.
        missing = code in _MISSING_CODES
        if {code, status} & _CONDITION_CODES or (self.conditional and missing):
            return ConditionFailed(
                "somebody else wrote this object",
                where=self.where,
                found=found,
                do="Read it again and decide again.",
            )
        if missing:
            return ObjectMissing("no such object", where=self.where)
        if status.startswith("5") or status == "429" or code in {"SlowDown", "RequestTimeout"}:
            return StorageUnavailable("the object store failed", where=self.where, found=found)
        return BadConfiguration(
            "the object store refused the request",
            where=self.where,
            found=found,
            do="Check the bucket's name and the credentials.",
        )
