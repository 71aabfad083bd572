from tests.evaluation.fixtures import story, tiny_models  # noqa: F401
