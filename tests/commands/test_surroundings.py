"""The commands in places that they were not made in: another language, home, user, a share of a core."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pneumo_tasks.cli import RETRYABLE
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.work_folders import shared_temporary_folder
from tests.intake.films import good_files, write

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
          "sh", "-c", 'exec "$0" "$@"')  # fmt: skip
Pneumo = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read, which those of pytest are not, with a few films in it."""
    folder = Path(tempfile.mkdtemp(prefix="pneumo-surroundings-", dir=shared_temporary_folder()))
    folder.chmod(0o755)
    write(folder / "films", good_files(8))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def pneumo(open_folder: Path, store: ObjectStore) -> Pneumo:
    """Runs a command in a process of its own, with the environment of the test and ``more``."""

    def run(
        *words: str, before: Sequence[str] = (), python: str = sys.executable, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        known = {name: os.environ[name] for name in os.environ if name.startswith(("PNEUMO_", "AWS_"))}
        environment = {"PATH": os.environ["PATH"], "HOME": str(open_folder), **known, **more}
        command = [*before, python, "-m", "pneumo_tasks.cli", *words]
        return subprocess.run(
            command, env={"PYTHONPATH": str(PROJECT), **environment}, cwd="/",
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    return run


def works(pneumo: Pneumo, films: Path, before: Sequence[str] = (), **more: str) -> None:
    examined = pneumo("doctor", before=before, **more)
    assert examined.returncode == 0, examined.stdout + examined.stderr
    checked = pneumo("batch", "check", str(films), before=before, **more)
    assert "accepted: 8 of 8 files are good" in checked.stdout, checked.stdout + checked.stderr


def test_neither_a_locale_nor_a_home_that_can_be_written_is_needed(pneumo: Pneumo, open_folder: Path) -> None:
    films = (open_folder / "films").rename(open_folder / "Röntgen 胸部")
    home = open_folder / "home"
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(home)], check=False).returncode:
        pytest.skip("only root may mount a read-only home")
    try:
        works(pneumo, films, HOME=str(home), LANG="C", LC_ALL="C")
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


@pytest.mark.slow
def test_another_user_than_the_one_who_installed_it_works_with_it(pneumo: Pneumo, open_folder: Path) -> None:
    """An environment that nobody may read, of the interpreter of the system where ours is below /root."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ours = (sys._base_executable, *filter(None, [shutil.which(version, path="/usr/bin:/usr/local/bin")]))  # type: ignore[attr-defined]
    may = [one for one in ours if not _tried(*NOBODY, one, "-c", "import ssl")]
    if not may:
        pytest.skip("not root, or nobody else may run an interpreter of this version")
    environment = open_folder / "environment"
    subprocess.run([may[0], "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "all.pth").write_text("\n".join([str(PROJECT), *sys.path[1:]]))
    works(pneumo, open_folder / "films", before=NOBODY, python=str(environment / "bin/python"), HOME="/root")


def _tried(*command: str) -> int:
    try:
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode
    except FileNotFoundError:
        return 1


def test_an_interpreter_that_may_not_be_started_again_is_named(open_folder: Path) -> None:
    """A child is a new process of the same interpreter, which a user or a limit may forbid."""
    start = (
        "import multiprocessing.spawn as s, sys; s.set_executable('/nowhere/python'); "
        "from pneumo_tasks.cli import main; sys.argv[0] = 'pneumo'; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", start, "batch", "check", str(open_folder / "films")],
        capture_output=True, text=True, check=False, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == RETRYABLE
    assert "the processes that decode images do not start" in done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("pneumo:")]
    assert "whether this user may run that interpreter" in said


# What a container of this share sees, by either generation of control groups.
SHARES = {"cpu.max": "{quota} 100000", "cpu/cpu.cfs_quota_us": "{quota}", "cpu/cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("quota", "cores"), [(50_000, 1), (150_000, 2)], ids=["half a core", "one and a half"]
)
def test_a_share_of_a_core_is_what_processes_are_counted_by(
    open_folder: Path, quota: int, cores: int
) -> None:
    if (os.cpu_count() or 1) < cores:
        pytest.skip("this machine has fewer cores")
    shown = open_folder / "cgroup"
    write(shown, {name: text.format(quota=quota).encode() for name, text in SHARES.items()})
    hidden = f"mount --bind {shown} /sys/fs/cgroup"
    if subprocess.run(["unshare", "-m", "sh", "-c", hidden], capture_output=True, check=False).returncode:
        pytest.skip("only root may show a process another share")
    asked = (
        "from pneumo_tasks.cores import available_cores; "
        "from pneumo_tasks.intake.inspecting.inspectors import _workers; "
        "print(available_cores(), _workers(10_000, False, True)._max_workers)"
    )
    found = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{hidden} && exec "$0" -c "$1"', sys.executable, asked],
        capture_output=True, text=True, check=True, cwd=PROJECT,
    )  # fmt: skip
    assert found.stdout.split() == [str(cores), str(cores)]
