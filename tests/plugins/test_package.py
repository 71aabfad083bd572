"""The plugin is one package: found by its entry point, or in a folder that a server mounts."""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from airflow._shared.module_loading import find_path_from_directory

from pneumo_airflow.plugin import PneumoPlugin
from pneumo_tasks.commands.dags import INSTALLED, find_dags

PROJECT = Path(__file__).resolve().parents[2]


def test_airflow_finds_the_plugin_by_its_entry_point() -> None:
    (found,) = entry_points(group="airflow.plugins", name="pneumo")
    assert found.load() is PneumoPlugin


def test_of_a_mounted_folder_airflow_loads_the_plugin_and_no_other_file() -> None:
    folder = PROJECT / "plugins"
    loaded = [Path(file) for file in find_path_from_directory(str(folder), ".airflowignore", "glob")]
    assert [file.relative_to(folder).as_posix() for file in loaded if file.suffix == ".py"] == [
        "pneumo_airflow/plugin.py"
    ]


def test_wheel_images_and_command_agree_on_the_folder_of_the_dags() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert list(project["tool"]["setuptools"]["data-files"]) == [INSTALLED]
    for image in ("airflow", "gpu-worker"):
        lines = (PROJECT / f"docker/{image}.Dockerfile").read_text()
        assert f"AIRFLOW__CORE__DAGS_FOLDER=/opt/venv/{INSTALLED} " in lines
        assert "PLUGINS_FOLDER" not in lines
    assert find_dags() == PROJECT / "dags"
