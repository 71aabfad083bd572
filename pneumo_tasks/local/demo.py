"""`make demo`: the whole product on this machine, from a folder of images to a promoted model."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pneumo_tasks.errors import BadConfiguration, PneumoError
from pneumo_tasks.local.demo_data import Handover, batches_in, hand_in, phantom_batches
from pneumo_tasks.local.environment_file import isolated, read_environment, write_environment
from pneumo_tasks.local.following import RunFollower
from pneumo_tasks.local.stack import Place, Stack, describe, down, is_well, keras_home, up
from pneumo_tasks.local.store_roles import AWS_PAIR, variables_of
from pneumo_tasks.local.time_left import REAL_FILM
from pneumo_tasks.settings import RUN_PARAMS, Settings
from pneumo_tasks.storage.local_disk import make_folder
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.recipes import PHANTOM_RECIPE

DAG_ID = "pneumonia_retraining"
WEIGHTS = "PNEUMO_BACKBONE_WEIGHTS"
# Limits for a hundred drawn films, of which some show next to nothing; X-rays meet the default ones. So few
# test patients rule out no loss of some points: with narrow margins a second demo would never be promoted.
PHANTOM_SETTINGS = {
    "recipe": PHANTOM_RECIPE,
    "split_salt": "pneumo",
    "export_onnx": "false",  # half a minute for a file that nothing here asks for
    "precision": "float32",  # a lower one is measured first, at this side found too far off, and thrown away
    "min_recall": "0.75",
    "min_precision": "0.75",
    "min_auc": "0.8",
    "slice_min_recall": "0.6",
    "min_test_patients": "20",
    "recall_margin": "0.15",
    "precision_margin": "0.15",
    "original_recall_margin": "0.15",
    "original_precision_margin": "0.15",
    "free_step": "0.15",
}
_FREE_BYTES = 3 * 2**30


def main() -> None:
    """Run the demo; the exit code is 0 whatever the gate decides, 1 where something failed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--data", default="", help="folder of X-rays; empty: drawn phantoms")
    parser.add_argument("--weights", default="", help="path, imagenet or random")
    given = parser.parse_args()
    console, place = Console(), Place()
    os.umask(0o077)  # what lies below .local/ is for whoever started it
    chosen = _chosen_params()
    inherited = isolated()
    os.environ.clear()
    os.environ.update({name: value for name, value in inherited.items() if name not in chosen})
    try:
        code = run_demo(console, place, given.data, given.weights, _typed(chosen))
    except KeyboardInterrupt:
        running = (stack := place.read()) is not None and stack.is_running()
        console.print(
            "\nInterrupted. The stack keeps running and the run goes on: follow it in the UI, or `make down`."
            if running
            else "\nInterrupted. Nothing is left running."
        )
        code = 130
    except PneumoError as error:
        console.print(f"[bold red]The demo stopped:[/] {error}", highlight=False, soft_wrap=True)
        code = 1
    sys.exit(code)


def run_demo(console: Console, place: Place, data: str, weights: str, params: dict[str, Any]) -> int:
    """Start what is not running, hand the images in, run the DAG, tell the outcome; returns the exit code."""
    started = time.monotonic()
    _check_disk(place)
    synthetic = not data
    before = read_environment(place.env).get(WEIGHTS, "")
    with ThreadPoolExecutor(max_workers=1) as aside:  # it may wait for a server while films are drawn
        asked = weights or params.get("backbone_weights", "")
        chosen = aside.submit(_choose_backbone, console, place, asked, before)
        handovers = _handovers(console, place, data)
        backbone = chosen.result()
    # Phantoms and X-rays never meet in one bucket, or a model would be trained on both.
    bucket, limits = ("pneumo-phantoms", _phantom_environment()) if synthetic else ("pneumo-demo", {})
    stack = _ensure_stack(console, place, bucket, {"PNEUMO_DEMO": "true", WEIGHTS: backbone, **limits})

    os.environ.update({**read_environment(place.env), **variables_of(place.roles, "scheduler")})
    store = ObjectStore.connect(Settings.load())  # to read from
    for handover in handovers:
        _upload(console, place, handover)

    conf = {**params, "backbone_weights": backbone}
    if before and before != backbone:
        console.print(f"Other weights than last time ({before}): training again on the same data")
        conf["force"] = True
    client = place.client(stack)
    run_id = _start_run(console, place, stack, conf)
    from pneumo_tasks.local.demo_result import (  # seconds of imports, while Airflow starts the first task
        show_failure,
        show_next_steps,
        show_quarantine,
        show_result,
    )

    console.print(f"[bold]Run[/] {run_id}: {stack.ui}/dags/{DAG_ID}/runs/{run_id}", highlight=False)
    ended = RunFollower(
        client, DAG_ID, run_id, place.airflow_home / "logs", console,
        on_batch=lambda batch_id: show_quarantine(console, store, stack.ui, batch_id),
        films=sum(handover.files for handover in handovers) * (1 if synthetic else REAL_FILM),
    ).follow()  # fmt: skip
    if ended.state != "success":
        show_failure(console, store, run_id, ended)
    else:
        decision = show_result(console, store, run_id, place.local / "reports")
        if decision != "nothing-new":
            show_next_steps(console, stack.ui, run_id)
    console.print("\n".join(describe(place)), highlight=False, soft_wrap=True)
    console.print(
        f"Took {time.monotonic() - started:.0f} s. `make down` stops everything and keeps the data."
    )
    return 0 if ended.state == "success" else 1


def _handovers(console: Console, place: Place, data: str) -> list[Handover]:
    """What is handed in: the images of a folder, or phantoms that are drawn here."""
    if data:
        console.print(f"[bold]Data:[/] {data}", highlight=False)
        return batches_in(Path(data).expanduser().resolve())
    console.print("[bold]Data:[/] synthetic chest phantoms, drawn here (DATA=<folder> takes real X-rays)")
    return phantom_batches(place.local / "phantoms")


def _chosen_params() -> dict[str, str]:
    """The PNEUMO_* variables of the caller that are params of a run: they go with the run, not the stack."""
    names = {f"PNEUMO_{name.upper()}": name for name in RUN_PARAMS}
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _typed(chosen: Mapping[str, str]) -> dict[str, Any]:
    if not chosen:
        return {}
    names = {variable.removeprefix("PNEUMO_").lower(): text for variable, text in chosen.items()}
    return Settings.load({**names, "demo": True}).model_dump(mode="json", include=set(names))


def _check_disk(place: Place) -> None:
    free = shutil.disk_usage(place.project).free
    if free < _FREE_BYTES:
        raise BadConfiguration(
            "too little free disk space", where=str(place.local),
            found=f"{free / 2**30:.1f} GiB, at least {_FREE_BYTES / 2**30:.0f} GiB needed",
            do="Free some, or remove .local/ (after `make down`) to forget earlier demos.",
        )  # fmt: skip


def _choose_backbone(console: Console, place: Place, wanted: str, before: str) -> str:
    """A path, imagenet or random; where nothing is asked for, what the demo used last time."""
    from pneumo_tasks.training.model.backbones import resolve_weights
    from pneumo_tasks.training.recipes import find_recipe

    explicit = wanted not in ("", "imagenet", "random")
    choice = _kept_weights(place, wanted) if explicit else wanted or before or "imagenet"
    if choice == "imagenet" and choice != before:
        console.print("[bold]Backbone:[/] ImageNet weights; looking for them (10 s at most)")
    os.environ["KERAS_HOME"] = str(keras_home(place))
    settings = Settings.load({"backbone_weights": choice, "demo": True})
    try:
        if choice != "random":
            resolve_weights(settings, ObjectStore.connect(settings), find_recipe(settings.recipe).backbone)
    except BadConfiguration as error:
        if explicit or wanted == "imagenet":
            raise
        console.print(f"[yellow]{error}[/]", highlight=False, soft_wrap=True)
        choice = "random"
    if choice == "random":
        console.print(
            Panel(
                "RANDOM BACKBONE: its convolutions were never trained on anything. The whole road is real, "
                "the model is a toy, and every report says so.\n"
                "Give the ImageNet weights (VGG16 without top) with `make demo WEIGHTS=<file>`.",
                style="bold red",
            )
        )
    else:
        console.print(f"[bold]Backbone:[/] {choice}", highlight=False)
    return choice


def _kept_weights(place: Place, wanted: str) -> str:
    """A copy below .local/, the one place that a run of the demo may name; what is no file stays as it is."""
    given = Path(wanted).expanduser().resolve()
    if not given.is_file():
        return str(given)
    kept = make_folder(place.local / "weights") / given.name
    if not kept.exists() or (kept.stat().st_size, kept.stat().st_mtime) != (
        given.stat().st_size,
        given.stat().st_mtime,
    ):
        shutil.copy2(given, kept)
    return str(kept)


def _phantom_environment() -> dict[str, str]:
    """PHANTOM_SETTINGS as variables of the stack, so that the form shows them too."""
    return {
        f"PNEUMO_{name.upper()}": value
        for name, value in PHANTOM_SETTINGS.items()
        if name in Settings.model_fields
    }


def _ensure_stack(console: Console, place: Place, bucket: str, run: Mapping[str, str]) -> Stack:
    """The running stack where it serves this bucket, else a new one; ``run`` are variables of its tasks."""
    stack = place.read()
    if stack is not None and stack.is_running():
        if stack.bucket == bucket and variables_of(place.roles, "sender") and is_well(place, stack):
            console.print("[bold]Stack:[/] runs already, going on with it")
            write_environment(place.env, {**read_environment(place.env), **run})
            return stack
        console.print(
            f"[bold]Stack:[/] the running one serves {stack.bucket}, a part of it died, or an earlier "
            f"release started it: starting it again for {bucket}"
        )
        down(place, console.print)
    return up(place, bucket, run, lambda text: console.print(f"[bold]Stack:[/] {text}"))


def _upload(console: Console, place: Place, handover: Handover) -> None:
    """Hand one batch in, as a sender who may do nothing else."""
    own = variables_of(place.roles, "sender")
    access, secret = (own[name] for name in AWS_PAIR)
    settings = Settings.load({"s3_access_key": access, "s3_secret_key": secret})
    store = ObjectStore.connect(settings)
    columns = (TextColumn("[bold]Upload:[/] {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(handover.batch_id, total=None)
        new = hand_in(
            settings, store, handover, lambda done, of: progress.update(task, completed=done, total=of)
        )
        count = int(progress.tasks[0].completed)
    said = f"{count} images" if new else "there already, with the same content"
    console.print(f"[bold]Upload:[/] batch {handover.batch_id}: {said}", highlight=False)


def _start_run(console: Console, place: Place, stack: Stack, conf: Mapping[str, Any]) -> str:
    """Unpause the DAG and trigger it; a run that is under way already is followed instead."""
    client = place.client(stack)
    deadline = time.monotonic() + 90
    while client.dag(DAG_ID) is None:
        if errors := client.import_errors():
            raise BadConfiguration("Airflow cannot read the DAGs", found="\n".join(errors)[-2000:])
        if time.monotonic() > deadline:
            raise BadConfiguration(
                f"Airflow does not list {DAG_ID}", where=str(place.project / "dags"),
                do=f"Read {place.logs / 'airflow.log'}.",
            )  # fmt: skip
        time.sleep(0.5)
    client.unpause(DAG_ID)
    if active := client.active_runs(DAG_ID):
        console.print("A run is under way already: following that one")
        return active[0]
    return client.trigger(DAG_ID, conf, note="make demo")


if __name__ == "__main__":
    main()
