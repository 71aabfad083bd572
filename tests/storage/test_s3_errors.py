"""The table of answers: each cell, in the code and in the documentation."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    FinalError,
    ObjectMissing,
    PneumoError,
    StorageUnavailable,
    UnsafeStore,
)
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.s3_answers import NOT_AN_ANSWER
from pneumo_tasks.storage.s3_errors import KINDS, OPERATIONS, AnswerClass, Operation, kind_of, table
from tests.faults import proxy as faults
from tests.faults.proxy import Proxy, always

DOCUMENT = Path(__file__).parents[2] / "docs/storage.md"
OWN = ("404", NOT_AN_ANSWER)  # the client's and the guard's own names: no server sends them
# What an operator must be able to rely on, said a second time: the table may not drift.
PROMISES: list[tuple[str, Operation, type[PneumoError]]] = [
    ("AccessDenied", "write", BadConfiguration),
    ("AccessDenied", "delete", BadConfiguration),
    ("BadDigest", "write", StorageUnavailable),
    ("IncompleteBody", "write", StorageUnavailable),
    ("RequestTimeout", "write", StorageUnavailable),
    *[("ExpiredToken", operation, BadConfiguration) for operation in OPERATIONS],
    *[("RequestTimeTooSkewed", operation, BadConfiguration) for operation in OPERATIONS],
    ("NoSuchUpload", "write", StorageUnavailable),
    ("NotImplemented", "conditional write", UnsafeStore),
    ("NoSuchKey", "read", ObjectMissing),
    ("NoSuchKey", "conditional write", ConditionFailed),
    ("NoSuchBucket", "read", BadConfiguration),
    ("SlowDown", "read", StorageUnavailable),
]


@pytest.fixture
def refusing(proxy: Proxy, settings_behind: Settings, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store behind the proxy, whose client asks again without a pause."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    return ObjectStore.connect(settings_behind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_each_answer_to_each_operation_has_its_class(
    proxy: Proxy, refusing: ObjectStore, kind: AnswerClass
) -> None:
    cells = [(code, operation) for code in (*kind.codes, *kind.statuses) for operation in OPERATIONS]
    for code, operation in cells:
        if code in OWN:
            continue
        # Not to a question for the bucket: to a redirection, the client asks for its region.
        proxy.rule = always(faults.refused(*_answer(code)), lambda request: bool(request.key))
        with pytest.raises(PneumoError, match="the server's own words") as caught:
            _do(refusing, operation)
        assert type(caught.value) is kind.of(operation), (code, operation)


@pytest.mark.parametrize(("code", "operation", "expected"), PROMISES)
def test_the_table_keeps_what_operators_rely_on(
    code: str, operation: Operation, expected: type[PneumoError]
) -> None:
    assert kind_of(code, "400").of(operation) is expected


def test_a_wrong_clock_is_told_as_one(proxy: Proxy, refusing: ObjectStore) -> None:
    proxy.rule = always(faults.refused(403, "RequestTimeTooSkewed"))
    with pytest.raises(FinalError, match=r"clock.*date -u"):
        refusing.read("film")


def test_a_store_that_always_sends_elsewhere_is_told_as_one(proxy: Proxy, refusing: ObjectStore) -> None:
    proxy.rule = always(faults.refused(301, "PermanentRedirect"))
    with pytest.raises(BadConfiguration, match="PNEUMO_S3_REGION"):
        refusing.read("film")


def test_the_documentation_shows_the_table() -> None:
    assert "\n".join(table()) in DOCUMENT.read_text()


def _answer(code: str) -> tuple[int, str]:
    """The status and the code that the server sends: an unknown code where the status is to decide."""
    if code == "any other":
        return 418, "Teapot"
    if code == "5xx":
        return 500, "Unheard"
    return (int(code), "Unheard") if code.isdigit() else (400, code)


def _do(store: ObjectStore, operation: Operation) -> None:
    if operation == "read":
        store.read("key")
    elif operation == "write":
        store.put("key", b"body")
    elif operation == "conditional write":
        store.replace_if_unchanged("key", b"body", None)
    else:
        store.delete("key")
