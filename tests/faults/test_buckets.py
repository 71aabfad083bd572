"""Buckets that keep, lock or encrypt: each works, or is refused by name before a run begins."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from pneumo_tasks import pipeline
from pneumo_tasks.commands.doctor import examine
from pneumo_tasks.errors import BadConfiguration, UnsafeStore
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.local.processes import StartedProcess, stop
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.local_disk import make_folder
from pneumo_tasks.storage.object_reader import ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.checkpoints import Checkpoint, Checkpoints
from tests.evaluation.fixtures import tiny_models as tiny_models
from tests.faults import proxy as faults
from tests.faults.proxy import Proxy, Request, always
from tests.faults.test_histories import operations
from tests.intake.films import good_files, write
from tests.promotion.history import PERMISSIVE, History, Trainer, in_a_new_bucket

ENCRYPTED = "x-amz-server-side-encryption"
Kind = Callable[[ObjectStore, Proxy], dict[str, object]]


def versioned(store: ObjectStore, _: Proxy) -> dict[str, object]:
    store.ensure_bucket()
    store.client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    return {}


def locked(store: ObjectStore, _: Proxy) -> dict[str, object]:
    store.client.create_bucket(Bucket=store.bucket, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    store.client.put_object_lock_configuration(Bucket=store.bucket, ObjectLockConfiguration=lock)  # type: ignore[arg-type]
    return {}


def keeping(store: ObjectStore, proxy: Proxy) -> dict[str, object]:
    """The server does what it is told; the proxy answers as a bucket without DELETE does."""
    store.ensure_bucket()
    proxy.rule = always(faults.refused(403, "AccessDenied", "kept until 2030"), is_delete)
    return {}


def encrypted(store: ObjectStore, proxy: Proxy) -> dict[str, object]:
    """The proxy answers as a bucket whose policy denies writes without encryption."""
    store.ensure_bucket()
    proxy.rule = always(faults.refused(403, "AccessDenied", "an explicit deny"), is_plain_write)
    return {"s3_encryption": "AES256"}


def is_delete(request: Request) -> bool:
    return request.method == "DELETE"


def is_plain_write(request: Request) -> bool:
    begins = request.method == "PUT" and "uploadId" not in request.query
    begins |= request.method == "POST" and request.query.startswith("uploads")
    return bool(request.key) and begins and ENCRYPTED not in {name.lower() for name in request.headers}


@pytest.fixture
def permissive(environment: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in PERMISSIVE.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [versioned, locked, keeping, encrypted])
def test_the_product_works_in_it(
    proxy: Proxy, permissive: Settings, tiny_models: dict[str, bytes], tmp_path: Path, kind: Kind
) -> None:
    chosen = in_a_new_bucket(permissive)
    settings = chosen.model_copy(update=kind(ObjectStore.connect(chosen), proxy) | {"s3_endpoint": proxy.url})
    store = ObjectStore.connect(settings)
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(9 * 2**20))  # sent in parts
    digest = store.upload("large", tmp_path / "large")
    store.download("large", tmp_path / "copy", digest)
    history = History(settings, store, store, Trainer(store, tiny_models))
    history.play(operations(1))
    history.check()
    assert ledger.read_ledger(store)
    run = Run(settings, store, "weekly")
    upload_batch(settings, store, write(tmp_path / "films", good_files(40)), "late", "train")
    assert pipeline.discover(run, {}, "anna").batches == ["late"]
    assert pipeline.validate(run, "late").accepted == 40


def test_a_bucket_that_demands_what_nobody_asked_for_is_refused_before_a_run_begins(
    proxy: Proxy, settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted(store, proxy)
    run = Run(settings, ObjectStore.connect(settings.model_copy(update={"s3_endpoint": proxy.url})), "weekly")
    with pytest.raises(BadConfiguration, match=r"an explicit deny.*PNEUMO_S3_ENCRYPTION"):
        pipeline.discover(run, {}, "anna")
    assert list(store.list_objects(layout.RUNS)) == []
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", proxy.url)
    line = next(found for found in examine() if found.name == "permissions")
    assert not line.good
    assert line.vital
    assert "may not write" in line.seen
    assert "an explicit deny" in line.seen
    monkeypatch.setenv("PNEUMO_S3_ENCRYPTION", "AES256")
    assert next(found for found in examine() if found.name == "permissions").good


def test_a_store_without_conditional_writes_is_refused_before_a_run_begins(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, settings: Settings
) -> None:
    def is_conditional(request: Request) -> bool:
        return any(name.lower() in ("if-none-match", "if-match") for name in request.headers)

    proxy.rule = always(faults.refused(501, "NotImplemented", "no conditions here"), is_conditional)
    with pytest.raises(UnsafeStore, match="no conditions here"):
        pipeline.discover(Run(settings, store_behind, "weekly"), {}, "anna")
    assert list(store.list_objects(layout.RUNS)) == []


def test_a_training_keeps_its_checkpoints_where_nothing_may_be_deleted(
    proxy: Proxy, store_behind: ObjectStore
) -> None:
    proxy.rule = always(faults.refused(403, "AccessDenied", "kept until 2030"), is_delete)
    kept = Checkpoints(store_behind, "weekly", "head", "fingerprint")
    for epoch in range(1, 5):
        kept.save(Checkpoint([{"epoch": epoch}], epoch, [np.zeros(2)], [], []))
    newest = kept.newest()
    assert newest is not None
    assert newest.epoch == 4


def test_a_key_without_its_kind_of_encryption_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="s3_kms_key belongs to"):
        Settings.load({"s3_kms_key": "key"})


@pytest.fixture
def own_key(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A server with keys of its own, of which each write has to name one."""
    folder = make_folder(tmp_path / "s3")
    access_key, secret_key = seaweedfs._credentials(folder / "identities.json")
    known = json.loads((folder / "identities.json").read_text())
    keys = {"type": "local", "enableOnDemandCreate": True}
    known["kms"] = {"default_provider": "ours", "providers": {"ours": keys}}
    (folder / "identities.json").write_text(json.dumps(known))
    server = seaweedfs.start(folder)
    yield settings.model_copy(
        update={
            "s3_endpoint": server.endpoint,
            "s3_access_key": SecretStr(access_key),
            "s3_secret_key": SecretStr(secret_key),
            "s3_encryption": "aws:kms",
            "s3_kms_key": "films",
        }
    )
    stop(StartedProcess.of("SeaweedFS", server.pid), 3)


def test_every_write_is_under_the_key_that_is_named_and_is_read_both_ways(
    own_key: Settings, tmp_path: Path
) -> None:
    store = ObjectStore.connect(own_key)
    store.ensure_bucket()
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(9 * 2**20))  # sent in parts
    digest = store.upload("large", tmp_path / "large")
    store.put("small", b"a film")
    store.put_once("once", b"evidence")
    store.client.put_object(Bucket=store.bucket, Key="foreign", Body=b"nobody recorded its digest")
    store.check_conditional_writes()
    for key in ("large", "small", "once", "foreign"):
        kept = store.client.head_object(Bucket=store.bucket, Key=key)
        assert (kept["ServerSideEncryption"], kept["SSEKMSKeyId"]) == ("aws:kms", "films")
    store.download("large", tmp_path / "copy", digest)
    reader = ObjectReader.connect(own_key)
    for key in ("small", "once", "foreign"):  # the ETag of such an object is no MD5
        assert reader.read(key).body == store.read(key)
