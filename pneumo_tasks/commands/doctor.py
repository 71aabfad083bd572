"""``pneumo doctor``: is everything in place for a run?"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.extras import sentence
from pneumo_tasks.commands.terminal.output import AsJson, print_json, say
from pneumo_tasks.errors import BadConfiguration, PneumoError
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.credentials import describe_credentials
from pneumo_tasks.storage.object_store import ObjectStore

# The first patch of each Python in which tarfile has neither CVE-2024-6232 nor CVE-2025-8194.
_PATCHED = {(3, 11): 14, (3, 12): 12, (3, 13): 6}
_NEEDED = 256 * 2**20  # bytes: a model and its copy


@dataclass(frozen=True)
class DoctorLine:
    """One line of the doctor: what was looked at, whether it is in order, what was seen.

    Names stay the same from release to release. Without what is ``vital`` no run can begin.
    """

    name: str
    good: bool
    seen: str
    vital: bool = False


def doctor(
    upgrade: Annotated[
        bool,
        typer.Option(
            "--upgrade",
            help="Also say what the bucket of an earlier release lacks and what is wrong in it.",
        ),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="With --upgrade: make what the bucket lacks.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, store, weights, GPU and Airflow; one line each.

    Exit 0 where all is in order, 2 where no run can begin, else 1.
    """
    if write and not upgrade:
        raise typer.BadParameter("--write belongs to --upgrade")
    found = []
    for finding in chain(examine(), _upgraded(write) if upgrade else ()):
        found.append(finding)
        if not as_json:
            say(f"{'ok  ' if finding.good else 'FAIL'}  {finding.name}: {finding.seen}")
    if as_json:
        print_json([asdict(finding) for finding in found])
    wrong = [finding for finding in found if not finding.good]
    raise typer.Exit(2 if any(finding.vital for finding in wrong) else 1 if wrong else 0)


def _upgraded(write: bool) -> Iterator[DoctorLine]:
    from pneumo_tasks.commands.upgrading import examine_bucket

    try:
        settings = Settings.load()
        yield from examine_bucket(settings, ObjectStore.connect(settings), write)
    except PneumoError as error:
        yield DoctorLine("upgrade", False, str(error))


def examine() -> Iterator[DoctorLine]:
    """Look at one thing after the other; what cannot be looked at is not in order."""
    try:
        settings = Settings.load()
    except PneumoError as error:
        yield DoctorLine("settings", False, str(error), vital=True)
        return
    unknown = Settings.unknown_environment()
    yield DoctorLine("settings", not unknown, f"unknown variables {unknown}" if unknown else "valid")
    connect = cache(lambda: ObjectStore.connect(settings))
    where = f"bucket {settings.bucket} at {settings.s3_endpoint or 'AWS'}"
    yield _checked("schedule", lambda: _schedule(settings))
    yield _checked("credentials", lambda: describe_credentials(settings), vital=True)
    yield _checked("store", lambda: _reach(connect(), where), vital=True)
    yield _permissions(connect)
    yield _checked("conditional writes", lambda: _probe(connect()), vital=True)
    yield _checked("local disk", lambda: _disk(settings), vital=True)
    yield _checked("strangers in the bucket", lambda: _strangers(connect()))
    yield _checked("backbone weights", lambda: _weights(settings, connect()))
    yield _checked("gpu", lambda: _gpu(settings))
    yield _airflow()
    yield _checked("airflow pool", lambda: _pool(settings))
    yield DoctorLine("python", True, python_patches(sys.version_info[:3]))


def _checked(name: str, look: Callable[[], str], vital: bool = False) -> DoctorLine:
    try:
        return DoctorLine(name, True, look(), vital)
    except PneumoError as error:
        return DoctorLine(name, False, str(error), vital)
    except ModuleNotFoundError as error:
        return DoctorLine(name, False, sentence(error) or str(error), vital)


def python_patches(running: tuple[int, int, int]) -> str:
    """What is known of this Python; a warning, for our own limits hold with an older one too."""
    said = ".".join(map(str, running))
    oldest = _PATCHED.get(running[:2])
    if oldest is None or running[2] >= oldest:
        return said
    return (
        f"warning: {said} reads archives with the faults CVE-2024-6232 and CVE-2025-8194; "
        f"{running[0]}.{running[1]}.{oldest} is the oldest without them"
    )


def _schedule(settings: Settings) -> str:
    from croniter import croniter

    if settings.schedule == "none":
        return "turned off: a run begins when a person or a batch asks for one"
    dates = croniter(settings.schedule, datetime.now(UTC))
    coming = ", ".join(f"{dates.get_next(datetime):%a %Y-%m-%d %H:%M}" for _ in range(3))
    return f"{settings.schedule}: {coming} UTC"


def _reach(store: ObjectStore, where: str) -> str:
    store.list_folders("")
    return f"{where} answers"


def _disk(settings: Settings) -> str:
    """Both folders take a model and its copy; what killed processes left there goes with the next task."""
    from pneumo_tasks.storage.local_disk import free_bytes, make_folder, reserve, written_below
    from pneumo_tasks.storage.work_folders import left_over, shared_temporary_folder, work_folder

    said = []
    for folder in (shared_temporary_folder(), make_folder(settings.cache_root)):
        left = [left_over(place) for place in (folder, folder / "features") if place.is_dir()]
        with written_below(folder, _NEEDED), work_folder(folder) as own, (own / "probe").open("wb") as probe:
            reserve(probe.fileno(), _NEEDED)
        killed = sum(found.folders for found in left)
        more = f", {sum(found.bytes for found in left):,} in use by {killed} killed tasks" if killed else ""
        said.append(f"{folder}: {free_bytes(folder)}{more}")
    return "; ".join(said)


def _strangers(store: ObjectStore) -> str:
    """Names that are not ours stop nobody, but somebody may have meant a batch by one."""
    from pneumo_tasks.promotion.verifying.verification import strangers

    found = strangers(store)
    named = ", ".join(map(repr, found[:5]))
    return f"{len(found)} names are not ours and are left alone: {named}" if found else "none"


def _permissions(connect: Callable[[], ObjectStore]) -> DoctorLine:
    """Whoever may not delete can still do everything but prune: that is no fault."""
    from pneumo_tasks.storage.permissions import examine_permissions

    try:
        found = examine_permissions(connect())
    except PneumoError as error:
        return DoctorLine("permissions", False, str(error), vital=True)
    refused = [permission for permission in found if permission.refused]
    allowed = ", ".join(permission.operation for permission in found if not permission.refused)
    named = [f"may not {one.operation}, which {one.needed_by} needs: {one.refused}" for one in refused]
    good = all(permission.operation == "delete" for permission in refused)
    return DoctorLine("permissions", good, "; ".join([f"may {allowed or 'do nothing'}", *named]), vital=True)


def _probe(store: ObjectStore) -> str:
    store.check_conditional_writes()
    return "honoured"


def _weights(settings: Settings, store: ObjectStore) -> str:
    from pneumo_tasks.training.model.backbones import resolve_weights
    from pneumo_tasks.training.recipes import find_recipe

    weights = resolve_weights(settings, store, find_recipe(settings.recipe).backbone)
    return f"{weights.source}, sha256 {weights.sha256[:12]}…"


def _gpu(settings: Settings) -> str:
    """TensorFlow takes seconds to start: it is asked only where the machine has a device at all."""
    if any(Path("/dev").glob("nvidia[0-9]*")):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow

        if seen := [device.name for device in tensorflow.config.list_physical_devices("GPU")]:
            return ", ".join(seen)
    if settings.require_gpu:
        raise BadConfiguration("none is seen, and PNEUMO_REQUIRE_GPU is set", do="Check nvidia-smi.")
    return "none seen, training runs on the CPU"


def _airflow() -> DoctorLine:
    name = "airflow connection"
    if os.environ.get("AIRFLOW_CONN_PNEUMO_S3"):
        return DoctorLine(name, True, "pneumo_s3 of the environment is what the tasks of the DAGs use")
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return DoctorLine(name, True, "not needed: the environment has credentials, for a task without one")
    return DoctorLine(name, False, "no AWS_ACCESS_KEY_ID here; DAGs need the connection pneumo_s3")


def _pool(settings: Settings) -> str:
    """Without its pool a training waits until the run's time is over, and Airflow says no word."""
    from pneumo_tasks.commands.announcing import find_airflow
    from pneumo_tasks.local.airflow_server import GPU_POOL

    try:
        airflow = find_airflow(settings)
    except BadConfiguration:
        return "not asked: no Airflow is named here (PNEUMO_AIRFLOW_URL)"
    slots = airflow.pool_slots(GPU_POOL)
    if slots is None:
        raise BadConfiguration(
            f"Airflow has no pool {GPU_POOL}: no training can begin", where=airflow.url,
            do=f'airflow pools set {GPU_POOL} 1 "One training at a time"',
        )  # fmt: skip
    return f"{GPU_POOL} at {airflow.url}, {slots} training(s) at a time"
