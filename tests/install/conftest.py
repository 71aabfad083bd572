from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from tests.install import installations
from tests.install.installations import PARTS, Installation


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if installations.uv() is None:
        pytest.skip("uv is neither in this environment nor on the PATH")
    return installations.build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module", params=PARTS)
def part(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("part") / "venv"
    yield installations.install(wheel, PARTS[request.param], folder)
    rmtree(folder)


@pytest.fixture(scope="module")
def beside_airflow(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("airflow") / "venv"
    yield installations.install(wheel, PARTS["airflow"], folder)
    rmtree(folder)
