"""Fixtures of the evaluation and promotion tests; their conftest modules import them."""

import pytest

from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import Story, save_model

_WEIGHTS = {"good": (12.0, 0.0, -6.0), "better": (14.0, 0.0, -7.0), "weak": (3.0, 9.0, -6.0)}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Real .keras artefacts, a few kilobytes each."""
    folder = tmp_path_factory.mktemp("models")
    for name, (top, bottom, bias) in _WEIGHTS.items():
        save_model(folder / f"{name}.keras", top, bottom, bias)
    return {name: (folder / f"{name}.keras").read_bytes() for name in _WEIGHTS}


@pytest.fixture
def story(store: ObjectStore, tiny_models: dict[str, bytes]) -> Story:
    return Story(store, tiny_models)
