"""Whoever writes the bucket, against each kind of object: who notices, before which harm."""

import os
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.anchors import Anchor
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair
from tests.security import matrix

DOCUMENT = Path(__file__).parents[2] / "docs" / "security-matrix.md"
WRITE = "PNEUMO_TEST_WRITE_MATRIX"
WRITING = bool(os.environ.get(WRITE))  # the document is written as it is found
TOLD = (
    layout.dataset(SNAPSHOT, "summary.json"),
    *(layout.run("third", name) for name in ("candidate.json", "candidate.keras", "decision.json")),
    *(layout.revision("third", kind, 1) for kind in ("evaluation", "decision")),
)


@pytest.mark.slow
@pytest.mark.parametrize("with_key", [True, False], ids=["with a key", "without a key"])
def test_each_attack_on_each_kind_of_object_is_noticed_by_the_reader_that_the_document_names(
    settings: Settings, story: Story, tmp_path: Path, with_key: bool
) -> None:
    if with_key:
        private, public = key_pair()
        settings = settings.model_copy(update={"signing_key": private, "trusted_key": public})
        story.store = ObjectStore.connect(settings)
    store = story.store
    summary, names = layout.dataset(SNAPSHOT, "summary.json"), ("training.parquet", "test.parquet")
    tables = {name: sha256(store.read(layout.dataset(SNAPSHOT, name))) for name in names}
    store.put_json(summary, {**store.read_json(summary), "tables": tables})
    promote_model(settings, store, judge(settings, story, "first"))
    former = store.read(layout.CHAMPION)
    promote_model(settings, store, judge(settings, story, "second", "better"))
    judge(settings, story, "third", "better")
    anchor = Anchor.of(ledger.read_ledger(store)[-1])
    told = {key: sha256(store.read(key)) for key in TOLD}
    scene = matrix.Scene(settings, store, tmp_path, anchor, told)
    bucket = matrix.whole(store)
    assert matrix.noticed_by(scene, bucket) == [], "an honest bucket is refused"
    with ThreadPoolExecutor(len(matrix.KINDS)) as pool:  # most of it is waiting for reads that are repeated
        kinds = [kind for kind in matrix.KINDS if matrix.find(bucket, kind.target)]
        rows = list(pool.map(lambda kind: _attacked(scene, kind, bucket, former), kinds))
    cells = {cell: readers for row in rows for cell, readers in row.items()}
    title = "## With a key" if with_key else "## Without a key"
    _compare(title, matrix.table(cells))
    if with_key:
        assert [cell for cell, readers in cells.items() if not readers] == []


def test_every_folder_of_the_bucket_is_in_the_matrix_or_said_to_be_unguarded() -> None:
    named = " ".join([*matrix.UNGUARDED, *(kind.target for kind in matrix.KINDS)])
    folders = {value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)}
    missing = {value for value in folders if value.split("/")[0] not in named}
    assert missing <= {layout.COMPARED}
    text = DOCUMENT.read_text()
    for folder, told in matrix.UNGUARDED.items():
        assert f"| `{folder}` | {told} |" in text, folder


def _attacked(
    scene: matrix.Scene, kind: matrix.Kind, bucket: matrix.Bucket, former: bytes
) -> dict[tuple[str, str], list[str]]:
    """One row of the table, in a bucket and a folder of its own."""
    settings = scene.settings.model_copy(update={"bucket": f"matrix-{uuid.uuid4().hex[:12]}"})
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    folder = scene.folder / settings.bucket
    folder.mkdir()
    own = replace(scene, settings=settings, store=store, folder=folder)
    attacks = {how: matrix.attack(how, kind, dict(bucket), former) for how in matrix.ATTACKS}
    return {(kind.name, how): matrix.noticed_by(own, left) for how, left in attacks.items()}


def _compare(title: str, found: str) -> None:
    text = DOCUMENT.read_text()
    new = re.sub(rf"({title}\n\n)\|.*?\n(?=\n|\Z)", lambda m: f"{m[1]}{found}\n", text, flags=re.S)
    if WRITING:
        DOCUMENT.write_text(new)
        return
    assert new == text, f"what was found is not what {DOCUMENT.name} says: set {WRITE}=1 to write it"
