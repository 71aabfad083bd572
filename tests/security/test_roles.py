"""Each role of docker/policies/ on a real server: what it may do, what it may not, and its whole work."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from pneumo_tasks import pipeline
from pneumo_tasks.cli import app
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.storage.permissions import examine_permissions
from tests.evaluation.story import Story
from tests.intake.films import film, good_files, jpeg, write
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair
from tests.security import roles

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
SIGNERS = ("pneumo", "pipeline", "reviewer")
WRITING = bool(os.environ.get("PNEUMO_TEST_WRITE_MATRIX"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    started = roles.start(tmp_path_factory.mktemp("roles") / "s3")
    yield started
    process = psutil.Process(started.pid)
    files = seaweedfs.socket_files(started.pid)
    process.kill()
    process.wait(20)
    for file in files:
        file.unlink(missing_ok=True)


class Cast:
    """The settings and the store of each role, and a way to run commands as one of them."""

    def __init__(self, server: S3Server, settings: Settings, keys: tuple[SecretStr, str] | None) -> None:
        self.server, self.plain, self.keys = server, settings, keys

    def settings(self, role: str) -> Settings:
        own = roles.settings_of(role, self.server, self.plain)
        if self.keys is None:
            return own
        signing = self.keys[0] if role in SIGNERS else None
        return own.model_copy(update={"signing_key": signing, "trusted_key": self.keys[1]})

    def store(self, role: str) -> ObjectStore:
        return ObjectStore.connect(self.settings(role))

    def run(self, role: str, *words: str, refused: bool = False) -> None:
        """A command as one of them, which ends well; or is refused by the store, and by nobody else."""
        access, secret = roles.key_of(role)
        own = {"PNEUMO_S3_ENDPOINT": self.server.endpoint, "PNEUMO_BUCKET": roles.BUCKET}
        own |= {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        if self.keys is not None:
            own |= {"PNEUMO_TRUSTED_KEY": self.keys[1]}
            own |= {"PNEUMO_SIGNING_KEY": self.keys[0].get_secret_value()} if role in SIGNERS else {}
        result = CliRunner().invoke(app, list(words), env=own)
        said = f"{role}: {' '.join(words)}: {result.output} {result.exception!r}"
        assert (result.exit_code != 0) is refused, said
        assert not refused or isinstance(result.exception, BadConfiguration), said


@pytest.fixture
def cast(server: S3Server, settings: Settings, request: pytest.FixtureRequest) -> Cast:
    """The roles; with a key where the test asks for one."""
    root = Cast(server, settings, None).store("pneumo")
    root.ensure_bucket()
    for listed in root.list_objects(""):
        root.delete(listed.key)
    return Cast(server, settings, key_pair() if getattr(request, "param", False) else None)


@pytest.mark.slow
def test_the_server_lets_each_role_do_what_the_table_says_and_nothing_else(cast: Cast) -> None:
    root = cast.store("pneumo")
    cells = {}
    for one in roles.OPERATIONS:
        for role in roles.ROLES:
            for key in roles.KEYS:  # what the operation before took away is there again
                root.put(key, b"x")
            cells[one.name, role] = one.is_allowed(cast.store(role))
    text, found = DOCUMENT.read_text(), roles.table(cells)
    new = re.sub(r"\| operation \|.*?\n(?=\n)", lambda _: f"{found}\n", text, flags=re.S)
    if WRITING:
        DOCUMENT.write_text(new)
    assert new == text or WRITING, f"the server does not do what {DOCUMENT.name} says:\n{found}"


def test_a_sender_sends_and_the_pipeline_judges(cast: Cast, tmp_path: Path) -> None:
    folder = write(tmp_path / "films", good_files(6))
    sent = ("batch", "upload", str(folder), "--split", "train", "--batch-id")
    cast.run("sender", *sent, "hospital-a-7")
    cast.run("sender", *sent, "hospital-b-7", refused=True)
    pipeline_store = cast.store("pipeline")
    assert validate_batch(cast.settings("pipeline"), pipeline_store, "hospital-a-7").accepted == 6
    for command in (("batch", "list"), ("models", "list"), ("runs", "list")):
        cast.run("pipeline", *command)
        cast.run("sender", *command, refused=True)


def test_a_patient_is_erased_by_the_eraser_alone(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_CACHE_FOLDER", str(tmp_path / "cache"))
    films = {f"film{n}.jpeg": jpeg(film(n)) for n in range(8)}
    rows = [f"{name},{'PNEUMONIA' if n % 2 else 'NORMAL'},ZZ-{n}" for n, name in enumerate(films)]
    table = {"images.csv": "\n".join(["path,label,patient_id", *rows]).encode()}
    folder = write(tmp_path / "films", films | table)
    cast.run("sender", "batch", "upload", str(folder), "--split", "train", "--batch-id", "hospital-a-8")
    assert validate_batch(cast.settings("pipeline"), cast.store("pipeline"), "hospital-a-8").accepted == 8
    erase = ("patient", "erase", "patient:zz-3", "--reason", "the parents ask for it")
    for role in ("reviewer", "pipeline"):
        cast.run(role, *erase, refused=True)
    sent = layout.incoming_file("hospital-a-8", sha256(films["film3.jpeg"]))
    assert cast.store("pipeline").exists(sent)
    cast.run("eraser", *erase)
    assert not cast.store("pipeline").exists(sent)


@pytest.mark.parametrize("cast", [False, True], ids=["no key", "a key"], indirect=True)
def test_the_pipeline_promotes_and_the_others_read_answer_and_serve(
    cast: Cast, tiny_models: dict[str, bytes], tmp_path: Path
) -> None:
    settings, store = cast.settings("pipeline"), cast.store("pipeline")
    refused = {found.operation for found in examine_permissions(store) if found.refused}
    assert not refused
    store.check_conditional_writes()
    story = Story(store, tiny_models)
    first = promote_model(settings, store, judge(settings, story, "first")).version
    judge(settings, story, "second", "better")
    judge(settings, story, "beside", "better")
    story.run("third")
    pipeline.end(Run(cast.settings("scheduler"), cast.store("scheduler"), "third"), "its time ran out")
    assert show_run(store, "third").state == "stopped"
    for words in (("runs", "list"), ("runs", "show", "first"), ("models", "list"), ("models", "history")):
        cast.run("reader", *words)
    cast.run("deployment", "runs", "list", refused=True)
    model = tmp_path / "m.keras"
    cast.run("deployment", "models", "download", str(model))
    assert model.exists()
    cast.run("reader", "models", "approve", "second", "--reason", "no", refused=True)
    second = promote_model(cast.settings("reviewer"), cast.store("reviewer"), "second").version
    assert store.read_json("champion.json")["version"] == second
    # Judged again, against another champion: that leaves evidence, which a key seals.
    beside = promote_model(cast.settings("reviewer"), cast.store("reviewer"), "beside").version
    assert store.read_json("champion.json")["version"] == beside
    cast.run("deployment", "models", "rollback", first, "--reason", "no", refused=True)
    cast.run("reviewer", "models", "rollback", first, "--reason", "too many alarms")
    assert store.read_json("champion.json")["version"] == first
    with pytest.raises(BadConfiguration):
        cast.store("reviewer").put("features/e/s/x", b"planted")
