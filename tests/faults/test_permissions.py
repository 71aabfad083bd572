"""The doctor says what a role may not do, in the words of the store, and who needs it."""

import pytest

from pneumo_tasks.commands.doctor import DoctorLine, examine
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.permissions import examine_permissions
from tests.faults import proxy as faults
from tests.faults.proxy import Proxy, Request, always


def line(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> DoctorLine:
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", proxy.url)
    return next(finding for finding in examine() if finding.name == "permissions")


def test_a_role_that_may_do_everything_is_in_order(
    proxy: Proxy, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line(proxy, monkeypatch) == DoctorLine(
        "permissions", True, "may list, write, read, delete", vital=True
    )
    assert list(store.list_objects("store-probes/")) == []


def test_who_may_not_delete_is_told_so_and_is_in_order(
    proxy: Proxy, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.rule = always(
        faults.refused(403, "AccessDenied", "locked until 2030"), lambda r: r.method == "DELETE"
    )
    found = line(proxy, monkeypatch)
    assert found.good
    assert "may list, write, read; may not delete, which `pneumo prune` alone needs" in found.seen
    assert "locked until 2030" in found.seen


@pytest.mark.parametrize(
    ("operation", "method", "status", "code"),
    [
        ("write", "PUT", 403, "AccessDenied"),
        ("read", "HEAD", 403, "AccessDenied"),
        ("list", "GET", 403, "AccessDenied"),
        ("write", "PUT", 400, "ServerSideEncryptionConfigurationNotFoundError"),
    ],
)
def test_what_a_run_needs_and_may_not_do_is_a_fault(
    proxy: Proxy, store_behind: ObjectStore, operation: str, method: str, status: int, code: str
) -> None:
    def asked(request: Request) -> bool:
        return request.method == method and (method != "GET" or not request.key)

    proxy.rule = always(faults.refused(status, code), asked)
    refused = [p.operation for p in examine_permissions(store_behind) if p.refused]
    assert operation in refused
