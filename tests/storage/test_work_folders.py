"""What a process writes for a moment goes with it, also where it is killed."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pneumo_tasks.errors import DiskUnusable
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import named_disk
from pneumo_tasks.storage.work_folders import LeftOver, left_over, shared_temporary_folder, work_folder

WORKING = """
import sys, time
from pathlib import Path
from pneumo_tasks.storage.work_folders import work_folder
with work_folder(Path(sys.argv[1])) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_bytes(b"12345")
    print(folder, flush=True)
    time.sleep(600)
"""


def killed_while_working_in(parent: Path) -> Path:
    """The work folder of a process that is killed, with five bytes in it."""
    process = subprocess.Popen([sys.executable, "-c", WORKING, parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    assert left_over(parent).folders == 0, "its process lives"
    process.kill()
    process.wait()
    return folder


def test_what_a_killed_process_left_goes_with_the_next_folder(tmp_path: Path) -> None:
    left, stranger = killed_while_working_in(tmp_path), tmp_path / "pneumo-work-of-somebody"
    stranger.mkdir()
    with work_folder(tmp_path) as own:
        assert not left.exists()
        assert sorted(tmp_path.iterdir()) == sorted([own, stranger])
    assert list(tmp_path.iterdir()) == [stranger]


def test_folders_that_are_made_and_swept_at_once_are_never_lost(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for _ in range(60):
            with work_folder(tmp_path) as folder:
                (folder / "file").write_text(str(number))
                assert (folder / "file").read_text() == str(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert list(tmp_path.iterdir()) == []


TASK = """
import os, subprocess, sys, tempfile
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.work_folders import take_temporary_folder
before = Settings.load().cache_root
own = take_temporary_folder()
assert take_temporary_folder() == own
assert tempfile.gettempdir() == str(own)
child = subprocess.run([sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"],
                       capture_output=True, text=True, check=True)
assert child.stdout.strip() == str(own), child
assert Settings.load().cache_root == before, "the cache outlives the process"
tempfile.mkdtemp()
print(own, flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("end", ["calm", "killed"])
def test_the_temporary_files_of_a_task_go_with_it(
    tmp_path_factory: pytest.TempPathFactory, environment: None, end: str
) -> None:
    short = tmp_path_factory.mktemp("task")
    told = {**os.environ, "TMPDIR": str(short)}
    done = subprocess.run([sys.executable, "-c", TASK, end], env=told, stdout=subprocess.PIPE, text=True)
    own = Path(done.stdout.strip())
    assert done.returncode == (0 if end == "calm" else -9)
    assert own.parent == short
    assert own.exists() == (end == "killed")
    with work_folder(short):
        assert not own.exists()


def test_a_temporary_folder_with_a_long_name_is_left_as_it_is(tmp_path: Path) -> None:
    long = tmp_path / ("x" * (80 - len(str(tmp_path))) if len(str(tmp_path)) < 79 else "x")
    long.mkdir()
    script = (
        TASK.split("own =")[0] + "assert take_temporary_folder() == __import__('pathlib').Path(sys.argv[1])"
    )
    told = {**os.environ, "TMPDIR": str(long)}
    subprocess.run([sys.executable, "-c", script, long], env=told, check=True)
    assert list(long.iterdir()) == []


def test_where_no_temporary_folder_takes_a_file_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(DiskUnusable, match=r"'/tmp'.*TMPDIR"):
        shared_temporary_folder()


def test_a_fault_that_is_not_of_the_disk_stays_what_it_is(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(ValueError, match="of another kind"), named_disk(tmp_path, settings.cache_root):
        raise ValueError("of another kind")
    with pytest.raises(PermissionError), named_disk(tmp_path):
        raise PermissionError(13, "not yours", "/etc/shadow")
    assert left_over(tmp_path) == LeftOver(0, 0)
