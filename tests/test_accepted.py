"""What the intake accepts makes no later stage raise; by hypothesis, through all of them but training."""

import csv
import io
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as drawing
from hypothesis import strategies as st
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.dataset.balance import compute_class_balance
from pneumo_tasks.dataset.seen import record_seen
from pneumo_tasks.dataset.snapshots import SnapshotRef, assemble_dataset, former_homes, training_rows
from pneumo_tasks.errors import BadBatch
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.intake.records.withdrawals import read_datasheet
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.registry.champion import champion_ref
from pneumo_tasks.promotion.report.report import write_report
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.cross_fitting import block_folds
from tests.evaluation.fixtures import tiny_models  # noqa: F401
from tests.evaluation.story import Story
from tests.intake.films import film, good_files, jpeg, write
from tests.security.matrix import restore, whole

EXAMPLES = int(os.environ.get("PNEUMO_LONG_FUZZ") or 0) * 200 or 8
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
# Digits of other scripts, letters that another form folds together, what is invisible, what is markup.
LETTERS = "0123456789٣７²Ⅷａßſİıé\u0301\u200b\u202e\u00ad :;,./\\|'\"=+-@<>&{}%#*_\n\t\u2028🫁"
ODD = st.one_of(
    st.text(LETTERS, max_size=70),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.sampled_from([
        "", "0", "00", "nan", "None", "-1", "1e5", "1.0", "007", "٠٠٧", "９" * 64, "9" * 65, "9" * 5000,
        "a:b", ":", "patient:1", "../x", "=1+1", "NULL", "inf", "true", "person1", "12.2025", "1/2", "\ufeff",
    ]),
)  # fmt: skip
CELLS = {
    "patient_id": ODD,
    "site": ODD,
    "study_id": ODD,
    "view": st.one_of(ODD, st.sampled_from(["PA", "AP", "lateral", "frontal"])),
    "age": st.one_of(ODD, st.sampled_from(["3", "003Y", "0", "200", "-1", "1e3", "٣", "90+"])),
    "sex": ODD,
    "device": ODD,
    "acquired_at": st.one_of(ODD, st.sampled_from(["2026-02-30", "20260101", "2026-13-01", "01.02.2026"])),
    "laterality": ODD,
    "priority": ODD,
}
TIMES = ["1970-01-01", "2999-12-31T23:59:59+14:00", "2026-01-01T00:00:00Z", "2026-01-01 00:00", "\ud800", ""]
SAID = st.one_of(  # of batch.json; what cannot be read as one is refused as a whole, so that is tried seldom
    st.just({}),
    st.fixed_dictionaries(
        {"created_at": st.sampled_from(TIMES)},
        optional={"synthetic": st.booleans(), "images": st.integers(0, 10**6), "stranger": ODD},
    ),
    st.fixed_dictionaries({"replaces": st.sampled_from([["nobody"], ["odd"], ["\ud800"]])}),
)
FILMS = 6


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, str]]:
    """Columns of which every cell is drawn, for six films of both labels; some cells are plain."""
    titles = draw(st.lists(st.sampled_from(sorted(CELLS)), unique=True))
    return [
        {title: draw(st.one_of(CELLS[title], st.just(f"{title}{number}"))) for title in titles}
        for number in range(FILMS)
    ]


class Bench:
    """A bucket in which everything works, and what a test needs beside it; said in no failing example."""

    def __init__(self, healthy: dict[str, bytes], settings: Settings, models: dict[str, bytes], folder: Path):
        self.healthy, self.settings, self.models, self.folder = healthy, settings, models, folder

    def open(self, patient_site: bool) -> tuple[Settings, ObjectStore]:
        own = {"bucket": f"accepted-{uuid.uuid4().hex[:12]}", "patient_site": patient_site}
        settings = self.settings.model_copy(update=own)
        store = ObjectStore.connect(settings)
        store.ensure_bucket()
        restore(store, self.healthy)
        return settings, store


@pytest.fixture
def bench(
    settings: Settings,
    store: ObjectStore,
    tmp_path: Path,
    tiny_models: dict[str, bytes],  # noqa: F811
) -> Bench:
    for batch_id, split, start, count in (("train-1", "train", 0, 24), ("test-1", "test", 24, 24)):
        upload_batch(settings, store, write(tmp_path / batch_id, good_files(count, start)), batch_id, split)
        assert validate_batch(settings, store, batch_id).accepted == count
    return Bench(whole(store), settings, tiny_models, tmp_path)


def odd_batch(folder: Path, rows: list[dict[str, str]]) -> Path:
    body = io.StringIO()
    table = csv.DictWriter(body, ["path", "label", *rows[0]], quoting=csv.QUOTE_ALL)
    table.writeheader()
    files = {}
    for number, row in enumerate(rows):
        name = f"odd{number}.jpeg"
        files[name] = jpeg(film(1000 + number))
        table.writerow({"path": name, "label": ("NORMAL", "PNEUMONIA")[number % 2], **row})
    return write(folder, files | {"images.csv": body.getvalue().encode()})


@pytest.mark.slow
@drawing(max_examples=EXAMPLES, report_multiple_bugs=False, suppress_health_check=SLOW, deadline=None)
@given(rows=tables(), split=st.sampled_from(["train", "test", "auto"]), site=st.booleans(), said=SAID)
def test_nothing_that_is_accepted_makes_a_later_stage_raise(
    bench: Bench, rows: list[dict[str, str]], split: Any, site: bool, said: dict[str, Any]
) -> None:
    settings, store = bench.open(site)
    upload_batch(settings, store, odd_batch(bench.folder / settings.bucket, rows), "odd", split)
    manifest = store.read_json(layout.batch_manifest("odd"))
    store.put(layout.batch_manifest("odd"), json.dumps(manifest | said).encode())
    try:
        accepted = validate_batch(settings, store, "odd").accepted
    except BadBatch:  # it can be read by nobody, and is nobody's
        accepted = 0
    snapshot = assemble_dataset(settings, store)
    assert snapshot is not None
    films = snapshot.train + snapshot.validation + snapshot.test
    assert films == 48 + accepted - _set_aside(store, snapshot)
    _later_stages(settings, store, snapshot, bench.models)
    _commands(settings)


def _set_aside(store: ObjectStore, snapshot: SnapshotRef) -> int:
    """Films that the snapshot leaves out with a reason: of patients that are in the other split."""
    return len(store.read_json(layout.dataset(snapshot.snapshot_id, "summary.json"))["excluded"])


def _later_stages(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef, models: dict[str, bytes]
) -> None:
    assert assemble_dataset(settings, store) == snapshot
    former_homes(store, settings.patient_site)
    record_seen(store, snapshot.snapshot_id, settings.patient_site)
    compute_class_balance(settings, store, "odd", snapshot.snapshot_id)
    block_folds(training_rows(store, snapshot.snapshot_id)["patient"], 3)
    Story(store, models).run("odd", snapshot_id=snapshot.snapshot_id)
    evaluate_candidate(settings, store, "odd", snapshot.snapshot_id, champion_ref(store))
    decide_promotion(settings, store, "odd", snapshot.snapshot_id)
    write_report(settings, store, "odd")
    assert b"</html>" in store.read(layout.run("odd", "report.html"))
    if list(store.list_objects(f"{layout.VALIDATIONS}odd/")):
        assert b"</html>" in read_datasheet(store, "odd")


def _commands(settings: Settings) -> None:
    own = {"PNEUMO_BUCKET": settings.bucket}
    for words in ("batch list", "batch show odd", "runs list", "runs show odd"):
        for form in ([], ["--json"]):
            done = CliRunner().invoke(app, [*words.split(), *form], env=own)
            assert done.exit_code == 0, (words, done.output, done.exception)
            json.loads(done.stdout) if form else None
