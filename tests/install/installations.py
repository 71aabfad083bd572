"""Environments of their own, with nothing in them but the built wheel and what it asks for."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "pneumo_tasks", "plugins", "dags")
PARTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "train": ("train",),
    "validate": ("validate",),
    "airflow": ("airflow",),
    "all": ("train", "validate", "airflow"),
}


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel and these extras."""

    folder: Path
    extras: tuple[str, ...]

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment, far from the checkout and without the caller's variables."""
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]],
            cwd=self.folder, env=self.environment(**variables),
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.defpath]),
            "HOME": str(self.folder),
            "COLUMNS": "200",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "GX_ANALYTICS_ENABLED": "false",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            **variables,
        }


def uv() -> str | None:
    """The installer: of this environment, else of the PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("uv", path=beside) or shutil.which("uv")


def build(folder: Path) -> Path:
    """The wheel of this checkout, built from a copy: a checkout keeps leftovers of earlier builds."""
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / name, copy)
    _uv("build", "--wheel", "--quiet", "--out-dir", str(folder / "wheel"), str(copy))
    shutil.rmtree(copy)
    (wheel,) = (folder / "wheel").glob("*.whl")
    return wheel


def install(wheel: Path, extras: tuple[str, ...], folder: Path) -> Installation:
    _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    wanted = f"pneumo[{','.join(extras)}] @ {wheel.as_uri()}" if extras else f"pneumo @ {wheel.as_uri()}"
    _uv("pip", "install", "--quiet", "--python", str(folder / "bin/python"),
        "--constraint", str(PROJECT / "constraints.txt"), wanted)  # fmt: skip
    return Installation(folder, extras)


def _uv(*words: str) -> None:
    found = uv()
    assert found
    done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
