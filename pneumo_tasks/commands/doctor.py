"""``pneumo doctor``: is everything in place for a run?"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import typer

from pneumo_tasks.commands.extras import sentence
from pneumo_tasks.errors import PneumoError
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, whether it is in order, what was seen."""

    name: str
    good: bool
    seen: str


def doctor() -> None:
    """Check settings, store, weights, GPU and Airflow; one line each, exit 1 if any fails."""
    findings = list(examine())
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.good else 'FAIL'}  {finding.name}: {finding.seen}")
    raise typer.Exit(0 if all(finding.good for finding in findings) else 1)


def examine() -> Iterator[Finding]:
    """Look at one thing after the other; what cannot be looked at is not in order."""
    try:
        settings = Settings.load()
    except PneumoError as error:
        yield Finding("settings", False, str(error))
        return
    unknown = Settings.unknown_environment()
    yield Finding("settings", not unknown, f"unknown variables {unknown}" if unknown else "valid")
    store = ObjectStore.connect(settings)
    where = f"bucket {settings.bucket} at {settings.s3_endpoint or 'AWS'}"
    yield _checked("store", lambda: _reach(store, where))
    yield _checked("conditional writes", lambda: _probe(store))
    yield _checked("backbone weights", lambda: _weights(settings, store))
    yield _gpu(settings)
    yield _airflow()


def _checked(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except PneumoError as error:
        return Finding(name, False, str(error))
    except ModuleNotFoundError as error:
        return Finding(name, False, sentence(error) or str(error))


def _reach(store: ObjectStore, where: str) -> str:
    store.list_folders("")
    return f"{where} answers"


def _probe(store: ObjectStore) -> str:
    store.check_conditional_writes()
    return "honoured"


def _weights(settings: Settings, store: ObjectStore) -> str:
    from pneumo_tasks.training.model.backbones import resolve_weights
    from pneumo_tasks.training.recipes import find_recipe

    weights = resolve_weights(settings, store, find_recipe(settings.recipe).backbone)
    return f"{weights.source}, sha256 {weights.sha256[:12]}…"


def _gpu(settings: Settings) -> Finding:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow
    except ImportError:
        return Finding("gpu", not settings.require_gpu, "TensorFlow is not installed here")
    seen = tensorflow.config.list_physical_devices("GPU")
    text = ", ".join(device.name for device in seen) or "none seen, training runs on the CPU"
    return Finding("gpu", bool(seen) or not settings.require_gpu, text)


def _airflow() -> Finding:
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return Finding("airflow connection", True, "not needed: credentials are in the environment")
    if os.environ.get("AIRFLOW_CONN_PNEUMO_S3"):
        return Finding("airflow connection", True, "pneumo_s3 is in the environment")
    return Finding(
        "airflow connection", False, "no AWS_ACCESS_KEY_ID here; DAGs need the connection pneumo_s3"
    )
