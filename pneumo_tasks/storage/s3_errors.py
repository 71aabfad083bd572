"""What an answer of S3 means to us: one table of answer × operation → class, and nothing beside it.

``docs/storage.md`` shows the same table; a test keeps the two equal, and asks for each cell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    ObjectMissing,
    PneumoError,
    StorageUnavailable,
    UnsafeStore,
)
from pneumo_tasks.storage.proven_reads import Damaged
from pneumo_tasks.storage.s3_answers import NOT_AN_ANSWER

Operation = Literal["read", "write", "conditional write", "delete"]
OPERATIONS: tuple[Operation, ...] = ("read", "write", "conditional write", "delete")


@dataclass(frozen=True)
class AnswerClass:
    """Answers that mean the same: by the server's code, or by the status where no code is known."""

    what: str
    codes: tuple[str, ...]
    statuses: tuple[str, ...]
    error: type[PneumoError]
    do: str = ""
    unless: tuple[tuple[Operation, type[PneumoError]], ...] = ()

    def of(self, operation: Operation) -> type[PneumoError]:
        return dict(self.unless).get(operation, self.error)


_REGION = "Set PNEUMO_S3_REGION (or AWS_DEFAULT_REGION) to the region of the bucket."
_STORES = "Use a store with conditional writes: AWS S3, MinIO, VersityGW, SeaweedFS 4.18 or newer."

# The first kind that names the code; else the first that names the status.
KINDS = (
    AnswerClass(
        "no such object",
        # "404" is the client's own code for an answer without a body. To a GET, a status of 404 alone proves
        # no absence: VersityGW also answers it to an unknown access key.
        ("NoSuchKey", "NotFound", "404", "NoSuchVersion"),
        (),
        ObjectMissing,
        unless=(("conditional write", ConditionFailed),),
    ),
    AnswerClass(
        "somebody else wrote this object",
        ("PreconditionFailed", "ConditionalRequestConflict"),
        ("412",),
        ConditionFailed,
        "Read it again and decide again.",
    ),
    AnswerClass(
        "the store was busy with this object",
        ("OperationAborted", "BucketAlreadyOwnedByYou"),
        ("409",),
        StorageUnavailable,
        unless=(("conditional write", ConditionFailed),),
    ),
    AnswerClass(
        "the clock of this machine is wrong, or the store's is",
        ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"),
        (),
        BadConfiguration,
        "Compare `date -u` on both machines and set the clock (NTP). The store refuses other times.",
    ),
    AnswerClass(
        "the credentials have expired",
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"),
        (),
        BadConfiguration,
        "Renew the credentials (AWS_SESSION_TOKEN or the connection pneumo_s3), then clear the task.",
    ),
    AnswerClass(
        "the bucket is in another region",
        (
            *("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"),
            *("IllegalLocationConstraintException", "InvalidRegion"),
        ),
        ("301", "307"),
        BadConfiguration,
        _REGION,
    ),
    AnswerClass(
        "there is no such bucket",
        ("NoSuchBucket",),
        (),
        BadConfiguration,
        "Check PNEUMO_BUCKET and PNEUMO_S3_ENDPOINT, or make the bucket.",
    ),
    AnswerClass(
        "the bytes that arrived were not those that were sent",
        (
            *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"),
            *("InvalidDigest", "InvalidPart", "IncompleteSignature"),
        ),
        (),
        StorageUnavailable,
    ),
    AnswerClass(
        "the upload in parts is gone",
        ("NoSuchUpload",),
        (),
        StorageUnavailable,
        "It was applied, or has to be begun again.",
    ),
    AnswerClass(
        "the object store has too much to do, or the way to it is slow",
        (
            *("RequestTimeout", "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException"),
            *("RequestLimitExceeded", "TooManyRequests", "TooManyRequestsException"),
        ),
        ("408", "425", "429", "503"),
        StorageUnavailable,
    ),
    AnswerClass(
        "what answered is not the object store, or its answer was cut",
        (NOT_AN_ANSWER,),
        (),
        StorageUnavailable,
        "Look at what stands between this machine and the object store: a proxy, a login page.",
    ),
    AnswerClass(
        "the store cannot do this",
        ("NotImplemented", "MethodNotAllowed"),
        ("501", "405"),
        BadConfiguration,
        _STORES,
        unless=(("conditional write", UnsafeStore),),
    ),
    AnswerClass(
        "the object store refused the credentials, or they may not do this",
        (
            *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"),
            *("AccountProblem", "InvalidObjectState", "AccessForbidden"),
        ),
        ("401", "403", "407"),
        BadConfiguration,
        "Check the credentials, the bucket's policy, its object lock, and the encryption that it demands "
        "(PNEUMO_S3_ENCRYPTION).",
    ),
    AnswerClass("the object store failed", ("InternalError",), ("5xx",), StorageUnavailable),
    AnswerClass(
        "the object store refused the request",
        (),
        ("any other",),
        BadConfiguration,
        "Check the bucket's name and the credentials.",
    ),
)


def kind_of(code: str, status: str) -> AnswerClass:
    """The kind of an answer; the code decides, and the status where the code is unknown."""
    for kind in KINDS:
        if code in kind.codes:
            return kind
    for kind in KINDS:
        if status in kind.statuses or f"{status[:1]}xx" in kind.statuses:
            return kind
    return KINDS[-1]


def table() -> Iterator[str]:
    """The table as lines of Markdown."""
    yield f"| answer | {' | '.join(OPERATIONS)} |"
    yield "|---" * (len(OPERATIONS) + 1) + "|"
    for kind in KINDS:
        answers = ", ".join([f"`{code}`" for code in kind.codes] + list(kind.statuses))
        yield f"| {answers} | {' | '.join(kind.of(operation).__name__ for operation in OPERATIONS)} |"


class S3Errors:
    """A context manager that turns what the client raises inside the block into ours.

    ``where`` is what the message names. Damaged is what the client itself does not ask for again.
    """

    def __init__(self, where: str, operation: Operation = "read") -> None:
        self.where, self.operation = where, operation

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import ClientError

        if isinstance(error, Boto3Error) and isinstance(error.__context__, ClientError):
            error = error.__context__  # an upload wraps what the store answered
        if isinstance(error, ClientError):
            raise self._from_answer(error) from error
        if isinstance(error, Exception) and (ours := self._without_answer(error)) is not None:
            raise ours from error

    def _from_answer(self, error: Any) -> PneumoError:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        kind = kind_of(code, status)
        return kind.of(self.operation)(
            kind.what,
            where=self.where,
            found=" ".join(filter(None, (status, code, str(answer.get("Message") or "")[:300]))),
            do=kind.do,
        )

    def _without_answer(self, error: Exception) -> PneumoError | None:
        from boto3.exceptions import Boto3Error, RetriesExceededError
        from botocore import exceptions as client
        from s3transfer.exceptions import S3DownloadFailedError
        from urllib3.exceptions import HTTPError

        cut = (
            *(client.ResponseStreamingError, client.IncompleteReadError, client.FlexibleChecksumError),
            *(HTTPError, S3DownloadFailedError, RetriesExceededError),
        )
        if isinstance(error, cut):
            return Damaged("the answer was cut or changed on its way", where=self.where, found=str(error))
        none = client.NoCredentialsError | client.PartialCredentialsError | client.CredentialRetrievalError
        if isinstance(error, none):
            return BadConfiguration(
                "no credentials for the object store",
                where=self.where,
                found=str(error),
                do="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the Airflow connection pneumo_s3.",
            )
        if "maximum recursion depth" in str(error):  # the client follows redirections without an end
            return BadConfiguration("the store sends this client elsewhere", where=self.where, do=_REGION)
        if isinstance(error, client.ParamValidationError | client.ProfileNotFound | client.ConfigParseError):
            return BadConfiguration("the request cannot be made", where=self.where, found=str(error)[:300])
        if isinstance(error, client.BotoCoreError | Boto3Error):
            return StorageUnavailable(
                "the object store did not answer",
                where=self.where,
                found=str(error),
                do="Check PNEUMO_S3_ENDPOINT and the server.",
            )
        return None
