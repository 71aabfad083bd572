"""A disk that is full or read-only is named, with its bytes; the next try on a better one works."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pneumo_tasks.errors import CorruptArtefact, DiskUnusable
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import allocate, named_disk
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.fitting.event_log import write_event_log
from pneumo_tasks.training.model.backbones import build_backbone, resolve_weights
from tests.faults.proxy import flip

Disk = Callable[[str], Path]
BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Makes a small disk of its own, with these mount options; skips where this user may not."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("options", ["size=300k", "size=8m,ro"], ids=["full", "read-only"])
def test_a_disk_that_takes_no_more_is_named_with_its_bytes(
    store: ObjectStore, disk: Disk, tmp_path: Path, options: str
) -> None:
    digest = _put(store)
    small = disk(options)
    with pytest.raises(DiskUnusable, match=rf"{small}.* bytes free, {len(BODY):,} needed"):
        store.download("weights", small / "copy", digest)
    assert list(small.iterdir()) == [], "nothing is left that makes the next try fail"
    store.download("weights", tmp_path / "copy", digest)


@pytest.mark.parametrize("options", ["size=300k", "size=8m,ro"], ids=["full", "read-only"])
def test_a_cache_on_such_a_disk_is_named(
    settings: Settings, store: ObjectStore, disk: Disk, options: str
) -> None:
    digest = _put(store)
    small = disk(options)
    own = settings.model_copy(update={"cache_folder": small / "cache"})
    with pytest.raises(DiskUnusable, match=r"bytes free.*PNEUMO_CACHE_FOLDER"):
        LocalCache(own).open(store, "weights", digest, len(BODY))
    uri = f"s3://{store.bucket}/weights"
    with pytest.raises(DiskUnusable, match="bytes free"):
        resolve_weights(own.model_copy(update={"backbone_weights": uri}), store, "vgg16")
    assert [path for path in small.rglob("*") if path.is_file()] == []


def test_a_full_disk_refuses_a_mapped_file_before_it_is_written_to(disk: Disk) -> None:
    part = disk("size=300k") / "features.part"
    with part.open("wb") as file:
        file.truncate(2**20)  # sparse: writing to its pages would end the process with SIGBUS
    with pytest.raises(DiskUnusable, match="1,048,576 needed"):
        allocate(part)


def test_what_tensorflow_says_of_a_full_disk_is_named(
    store: ObjectStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = disk("size=8k")
    records = [{"epoch": epoch, "loss": 1.0, "accuracy": 0.5} for epoch in range(90)]
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    with pytest.raises(DiskUnusable, match=rf"{small}.* 0 bytes free"), named_disk(small):
        write_event_log(store, "weekly", "head", records)
    assert list(small.iterdir()) == []
    monkeypatch.undo()
    write_event_log(store, "weekly", "head", records)


def test_cached_weights_with_a_flipped_bit_are_never_used(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    digest = _put(store)
    update = {"backbone_weights": f"s3://{store.bucket}/weights", "cache_folder": tmp_path}
    own = settings.model_copy(update=update)
    weights = resolve_weights(own, store, "vgg16")
    assert weights.path is not None
    weights.path.write_bytes(flip(BODY))
    with pytest.raises(CorruptArtefact, match="digest differs"):
        build_backbone(weights, 150)
    again = resolve_weights(own, store, "vgg16")
    assert again.path is not None
    assert again.sha256 == digest == sha256(again.path.read_bytes())


def _put(store: ObjectStore) -> str:
    store.put("weights", BODY)
    return sha256(BODY)
