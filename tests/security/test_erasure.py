"""A patient who was erased is nowhere: not by id, not by the digest of the pixels, not by features."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.dataset.snapshots import SnapshotRef, assemble_dataset, training_rows
from pneumo_tasks.dataset.snapshots import test_rows as rows_of_the_test_set
from pneumo_tasks.errors import BadConfiguration, BadData
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.promotion.erasing.erasure import Erased, erase_patient
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.features.keys import Pass
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.shards import write_shard
from tests.intake.films import film, jpeg, write
from tests.promotion.keys import key_pair

PATIENT, SENT = "patient:zz-7731", "ZZ-7731"


def hand_in(settings: Settings, store: ObjectStore, folder: Path, start: int, split: str) -> str:
    """Thirty-two films of sixteen patients, with ids in images.csv."""
    films = {f"film{n}.jpeg": jpeg(film(n)) for n in range(start, start + 32)}
    lines = ["path,label,patient_id"]
    for at, name in enumerate(films):
        own = SENT if split == "train" and at in (6, 7) else f"P{start + at // 2}"
        lines.append(f"{name},{'PNEUMONIA' if (at // 2) % 2 else 'NORMAL'},{own}")
    write(folder / split, films | {"images.csv": "\n".join(lines).encode()})
    upload_batch(settings, store, folder / split, split, split)
    verdict = validate_batch(settings, store, split)
    assert verdict.state == "accepted", verdict.reasons
    return split


@pytest.fixture(params=[False, True], ids=["no key", "a key"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Where a key is set, what is erased was sealed and counted before."""
    private, public = key_pair()
    keys = {"signing_key": private, "trusted_key": public}
    return settings.model_copy(update=keys) if request.param else settings


@pytest.fixture
def filled(settings: Settings, store: ObjectStore, tmp_path: Path) -> Settings:
    settings = settings.model_copy(update={"cache_folder": tmp_path / "cache"})
    for start, split in ((0, "train"), (100, "test")):
        hand_in(settings, store, tmp_path, start, split)
    return settings


def with_features(settings: Settings, store: ObjectStore, snapshot: SnapshotRef) -> None:
    rows = training_rows(store, snapshot.snapshot_id)
    facts = ("vgg16", "w" * 64, 150, "whole", "f" * 64, "grey", "float32", "none")
    cache = LocalCache(settings)
    for shard, films in rows.groupby("shard"):
        part = cache.folder / "x.part"
        np.save(part.with_suffix(".npy"), np.arange(len(films) * 3, dtype=np.float32).reshape(-1, 3))
        part.with_suffix(".npy").rename(part)
        write_shard(store, cache, Pass(*facts, 0).output("pooled"), str(shard), part, list(films["sha256"]))


def facts_of(store: ObjectStore) -> pd.DataFrame:
    keys = [o.key for o in store.list_objects("validations/") if o.key.endswith("facts.parquet")]
    return pd.concat([pd.read_parquet(io.BytesIO(store.read(key))) for key in keys])


def traces(store: ObjectStore, cache: Path, needles: set[str]) -> Iterator[str]:
    """Every object and cache file that holds a needle: in its name, its bytes, or a cell of its table."""
    bodies = {listed.key: store.read(listed.key) for listed in store.list_objects("")}
    bodies |= {str(path): path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    for name, body in bodies.items():
        text = body.decode("latin-1") + name
        if name.endswith(".parquet"):
            text += pd.read_parquet(io.BytesIO(body)).to_csv()
        if any(needle.casefold() in text.casefold() for needle in needles):
            yield name


def test_nothing_in_bucket_or_cache_finds_the_patient_again(
    filled: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    snapshot = assemble_dataset(filled, store)
    assert snapshot is not None
    with_features(filled, store, snapshot)
    own = facts_of(store).query("patient == @PATIENT")
    assert len(own) == 2
    shards = [o.key for o in store.list_objects("features/") if o.key.endswith("index.json")]
    indices = [store.read_json(key) for key in shards]
    held = [one for one in indices if set(own["sha256"]) & set(one["images"])]
    needles = {SENT, PATIENT, *own["sha256"], *own["pixel_digest"], *(one["sha256"] for one in held)}
    found = set(traces(store, tmp_path / "cache", needles))
    for folder in ("incoming/", "validations/", "datasets/", "features/", "register/", str(tmp_path)):
        assert any(name.startswith(folder) for name in found), folder
    erased: Erased = erase_patient(filled, store, "patient:" + SENT, "ada", "the patient asked for it")
    assert (erased.films, erased.left) == (2, [])
    assert list(traces(store, tmp_path / "cache", needles)) == []
    entry = ledger.read_ledger(store)[-1]
    assert (entry.kind, entry.seq) == ("erased", erased.seq)
    assert SENT not in json.dumps(entry.model_dump(mode="json"))


def test_what_is_left_is_a_bucket_that_every_stage_can_read(filled: Settings, store: ObjectStore) -> None:
    before = assemble_dataset(filled, store)
    erase_patient(filled, store, PATIENT, "ada", "asked for")
    after = assemble_dataset(filled, store)
    assert before is not None
    assert after is not None
    assert after.train + after.validation == before.train + before.validation - 2
    assert PATIENT not in set(training_rows(store, before.snapshot_id)["patient"])
    assert len(rows_of_the_test_set(store, before.snapshot_id)) == before.test
    register = read_register(store)
    assert register is not None
    assert PATIENT not in register.homes
    with pytest.raises(BadData, match="no film is this patient's"):
        erase_patient(filled, store, PATIENT, "ada", "again")
    assert [found for found in verify(filled, ObjectStore.connect(filled)) if found.verdict == "fail"] == []


def test_the_reason_may_not_name_the_patient(filled: Settings, store: ObjectStore) -> None:
    with pytest.raises(BadConfiguration, match="names the patient"):
        erase_patient(filled, store, PATIENT, "ada", f"{SENT} asked for it")
    assert ledger.read_ledger(store) == []


def test_former_versions_of_a_versioned_bucket_go_too(
    filled: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    store.client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    for listed in list(store.list_objects("")):
        store.put(listed.key, store.read(listed.key))
    own = facts_of(store).query("patient == @PATIENT")
    assert erase_patient(filled, store, PATIENT, "ada", "asked for").former_versions > 0
    kept = store.client.list_object_versions(Bucket=store.bucket)
    for version in kept.get("Versions", []):
        answer = store.client.get_object(
            Bucket=store.bucket, Key=version["Key"], VersionId=version["VersionId"]
        )
        body = answer["Body"].read()
        assert sha256(body) not in set(own["sha256"]), version["Key"]
        assert not any(digest.encode() in body for digest in own["sha256"]), version["Key"]
