"""What a container holds: a folder, an archive, or a batch in the bucket, each under the names it gave."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pneumo_tasks.errors import BadBatch, BadData, ObjectMissing
from pneumo_tasks.intake.containers.archives import Files, Source, list_members
from pneumo_tasks.intake.containers.disk import Disk
from pneumo_tasks.intake.containers.folders import archive_in, files_below
from pneumo_tasks.intake.containers.names import MANIFEST, arrange, refuse_other_halves
from pneumo_tasks.intake.containers.proofs import prove_archive, read_member, read_sent
from pneumo_tasks.intake.sent.batches import Batch, read_files
from pneumo_tasks.intake.sent.manifests import MAX_BYTES
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

LABELS_CSV = "labels.csv"
_TWICE = "a name that the batch holds twice"


@dataclass(frozen=True)
class Contents:
    """The files of one batch by the names that it shows, and images.csv, None where there is none.

    ``root`` are the folders around everything. ``unlabelled``: labels come apart, in ``labels`` if anywhere.
    """

    files: dict[str, Source]
    manifest: Source | None
    split: str
    where: str
    root: str = ""
    unlabelled: bool = False
    labels: Source | None = None


def arranged(sources: list[Source], split: str, where: str) -> Contents:
    """The one layout rule over the files of any container; BadBatch where it refuses them.

    Of files that share a name none is used: nobody can tell which one was meant.
    """
    names = [source.file for source in sources]
    refuse_other_halves(names, split, where)
    tree = arrange(names, where)
    if not tree.files:
        raise BadBatch("the batch holds no file", where=where, do="Give a folder with films in it.")
    files = {
        shown: replace(sources[at], file=shown, fault=_TWICE if shown in tree.twice else sources[at].fault)
        for shown, at in tree.files.items()
    }
    return Contents(files, None if tree.manifest is None else sources[tree.manifest], split, where, tree.root)


def read_table(reader: Files, source: Source, name: str, where: str) -> bytes:
    """The bytes of images.csv or of labels; BadBatch where they cannot be read or are too many."""
    found = source.fault or (f"{source.size} bytes, limit {MAX_BYTES}" if source.size > MAX_BYTES else "")
    if found:
        raise BadBatch(f"{name} cannot be read", where=where, found=found)
    try:
        if source.offset is not None:
            return read_member(reader, source, MAX_BYTES)
        if source.sha256 and isinstance(reader, ObjectStore):
            return read_sent(reader, source.key, source.sha256, MAX_BYTES)
        return reader.read(source.key)
    except BadData as error:
        raise BadBatch(f"{name} cannot be read", where=where, found=str(error)) from None
    except ObjectMissing:
        raise BadBatch(f"the batch has no {name}", where=source.key, do="Upload the folder again.") from None


def contents_on_disk(path: Path, split: str) -> Contents:
    """A folder, a .zip or a .tar of this machine; BadBatch where it is none of them."""
    archive = archive_in(path)
    if archive is None:
        sources = [
            Source(file.relative_to(path).as_posix(), str(file), size=file.stat().st_size)
            for file in files_below(path)
        ]
        return arranged(sources, split, str(path))
    name = f"archive{archive.suffix.lower()}"
    return arranged(list_members(Disk(), str(archive), name), split, name)


def contents_in_bucket(store: ObjectStore, batch: Batch) -> Contents:
    """A batch as it was sent, by this release or an earlier one; its archive is proven to be whole."""
    if batch.archive:
        key = layout.incoming(batch.batch_id, batch.archive)
        if batch.files_sha256 and not store.exists(key):
            key = layout.incoming_file(batch.batch_id, batch.files_sha256)
        sources = prove_archive(store, key, batch.archive, batch.files_sha256)
    else:
        sources = list((_listed if batch.files_json_sha256 else _below)(store, batch))
    labels = None
    if batch.labels_sha256:
        key = layout.incoming_file(batch.batch_id, batch.labels_sha256)
        labels = Source(LABELS_CSV, key, sha256=batch.labels_sha256)
    found = arranged(sources, batch.split, batch.archive or "the folder")
    return replace(found, unlabelled=batch.unlabelled or labels is not None, labels=labels)


def _listed(store: ObjectStore, batch: Batch) -> Iterator[Source]:
    """The files of files.json; where batch.json names images.csv, it is not among them."""
    for file in read_files(store, batch):
        key = layout.incoming_file(batch.batch_id, file.sha256)
        yield Source(file.path, key, size=file.size, sha256=file.sha256)
    if batch.images_csv_sha256:
        key = layout.incoming_file(batch.batch_id, batch.images_csv_sha256)
        yield Source(MANIFEST, key, sha256=batch.images_csv_sha256)


def _below(store: ObjectStore, batch: Batch) -> Iterator[Source]:
    """The objects of a batch that was sent before there was a files.json: each lies under its path."""
    prefix = layout.incoming(batch.batch_id)
    for listed in store.list_objects(prefix):
        file = listed.key.removeprefix(prefix)
        if file not in (MANIFEST, "batch.json"):
            yield Source(file, listed.key, size=listed.size, etag=listed.etag)
    yield Source(MANIFEST, layout.batch_images_csv(batch.batch_id), sha256=batch.images_csv_sha256)
