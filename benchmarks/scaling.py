"""The weekly run on N default and M gpu workers: a discrete simulation from measured stage times.

    python benchmarks/scaling.py simulate [--images N --new N --sites N --json]
    python benchmarks/scaling.py upload [--images N]                (to the bucket of the environment)
    python benchmarks/scaling.py measure --url URL --password P     (against a running stack)
    python benchmarks/scaling.py compare ONE.json TWO.json          (what two measurements printed)

`simulate` prints how long a run takes on ever more workers. `upload` hands in eight batches of phantoms of a
film's size, `measure` times their validation by the stack. `compare` predicts that time for one worker and
for two from what one worker took for each batch, and says how far off it is; docs/scaling.md explains them.
"""

import argparse
import heapq
import json
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

BATCHES = 8
FILM = (1280, 890)  # pixels: the median width and height of the public films


@dataclass(frozen=True)
class Task:
    """One task of a run: where it runs, how long it works, and what has to end before it starts."""

    name: str
    queue: str
    seconds: float
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overheads:
    """What Airflow itself adds, measured on the compose stack of docs/scaling.md."""

    dispatch: float = 1.0  # from being ready to running where a slot is free: scheduler loop, broker
    release: float = 0.2  # from the end of a task to the start of one that waits for its slot


@dataclass(frozen=True)
class Costs:
    """Seconds of each stage: a fixed part, a part an image. Two Zen 3 cores, no GPU: docs/scaling.md."""

    discover: float = 3.0
    validate_fixed: float = 9.0  # importing Great Expectations is most of it
    validate_image: float = 0.022
    assemble_fixed: float = 4.0
    assemble_image: float = 2.5e-5
    features_fixed: float = 14.0  # importing Keras, loading the backbone
    features_image: float = 0.095
    head_fixed: float = 20.0
    head_image_epoch: float = 4.5e-4
    block5_fixed: float = 20.0
    block5_image_epoch: float = 0.028
    evaluate_fixed: float = 45.0
    evaluate_image: float = 0.12
    decide: float = 3.0
    report: float = 8.0
    promote: float = 6.0
    head_epochs: int = 20
    block5_epochs: int = 3


# Rates of other machines against these two cores: arithmetic from their peak, not measured by us.
MACHINES: Mapping[str, Mapping[str, float]] = {
    "2 cores": {"default": 1.0, "gpu": 1.0},
    "16 cores": {"default": 1.0, "gpu": 6.0},
    "one T4": {"default": 1.0, "gpu": 25.0},
    "one A100": {"default": 1.0, "gpu": 150.0},
}


@dataclass(frozen=True)
class Week:
    """What one weekly run finds: ``new`` images in ``batches`` equal parts, on top of ``old`` known ones."""

    new: int
    batches: int
    old: int = 0
    test: int = 624
    shard_images: int = 2048
    test_is_new: bool = False


@dataclass
class Schedule:
    """When each task started and ended, and on which slot."""

    rows: list[tuple[str, str, float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max((end for *_, end in self.rows), default=0.0)

    def span(self, prefix: str) -> float:
        """From the first start to the last end of the tasks whose name starts with ``prefix``."""
        rows = [row for row in self.rows if row[0].startswith(prefix)]
        return max(row[3] for row in rows) - min(row[2] for row in rows) if rows else 0.0


def weekly_run(week: Week, costs: Costs, speed: Mapping[str, float] | None = None) -> list[Task]:
    """The tasks of one run, in the DAG's order; ``speed`` divides the part that grows with images."""
    speed = speed or MACHINES["2 cores"]
    default, gpu = speed["default"], speed["gpu"]
    total, each = week.old + week.new, week.new / week.batches
    shards = max(1, -(-week.new // week.shard_images))
    validate = costs.validate_fixed + costs.validate_image * each / default
    features = costs.features_fixed + costs.features_image * week.new / shards / gpu
    validations = tuple(f"validate.{number}" for number in range(week.batches))
    extractions = tuple(f"features.{number}" for number in range(shards))
    return [
        Task("discover", "default", costs.discover),
        *(Task(name, "default", validate, ("discover",)) for name in validations),
        Task("assemble", "default", costs.assemble_fixed + costs.assemble_image * total, validations),
        Task("balance", "default", costs.decide, ("assemble",)),
        *(Task(name, "gpu", features, ("balance",)) for name in extractions),
        Task(
            "head",
            "gpu",
            costs.head_fixed + costs.head_image_epoch * total * costs.head_epochs / gpu,
            extractions,
        ),
        Task(
            "block5",
            "gpu",
            costs.block5_fixed + costs.block5_image_epoch * total * costs.block5_epochs / gpu,
            ("head",),
        ),
        Task("evaluate", "gpu", costs.evaluate_fixed + costs.evaluate_image * week.test / gpu, ("block5",)),
        Task("decide", "default", costs.decide, ("evaluate",)),
        Task("report", "default", costs.report, ("decide",)),
        Task("promote", "default", costs.promote, ("report",)),
    ]


def simulate(tasks: Sequence[Task], slots: Mapping[str, int], overheads: Overheads) -> Schedule:
    """Run the tasks first come, first served: each on the slot of its queue that is free first."""
    waiting = {task.name: len(task.after) for task in tasks}
    followers: dict[str, list[Task]] = {task.name: [] for task in tasks}
    for task in tasks:
        for before in task.after:
            followers[before].append(task)
    free = {queue: [(0.0, number) for number in range(count)] for queue, count in slots.items()}
    order = {task.name: place for place, task in enumerate(tasks)}
    ready = [(0.0, order[task.name], task) for task in tasks if not task.after]
    schedule, latest = Schedule(), dict.fromkeys(waiting, 0.0)
    while ready:
        since, _, task = heapq.heappop(ready)
        slot_free, slot = heapq.heappop(free[task.queue])
        start = max(since + overheads.dispatch, slot_free)
        end = start + task.seconds
        heapq.heappush(free[task.queue], (end + overheads.release, slot))
        schedule.rows.append((task.name, f"{task.queue}-{slot}", start, end))
        for follower in followers[task.name]:
            latest[follower.name] = max(latest[follower.name], end)
            waiting[follower.name] -= 1
            if not waiting[follower.name]:
                heapq.heappush(ready, (latest[follower.name], order[follower.name], follower))
    return schedule


def table(week: Week, costs: Costs, overheads: Overheads, workers: Iterable[tuple[int, int]]) -> list[dict]:
    """Hours of the whole run for each machine class and number of workers."""
    return [
        {
            "machine": machine,
            "default_workers": default,
            "gpu_workers": gpu,
            "validate_h": round(run.span("validate") / 3600, 3),
            "features_h": round(run.span("features") / 3600, 3),
            "train_h": round((run.span("head") + run.span("block5")) / 3600, 3),
            "total_h": round(run.seconds / 3600, 3),
        }
        for machine, speed in MACHINES.items()
        for default, gpu in workers
        for run in [simulate(weekly_run(week, costs, speed), {"default": default, "gpu": gpu}, overheads)]
    ]


def predicted_validation(seconds: Sequence[float], workers: int, overheads: Overheads) -> float:
    """Simulated seconds from the first start to the last end of these validations, all ready at once."""
    tasks = [Task(f"validate.{number}", "default", value) for number, value in enumerate(seconds)]
    return simulate(tasks, {"default": workers}, overheads).span("validate")


def measure(url: str, password: str, batches: int = BATCHES) -> dict[str, Any]:
    """Time the validation of the batches that wait in the bucket; the run is ended when all have verdicts.

    The gpu worker should be stopped, and each default worker have one slot.
    """
    from pneumo_tasks.local.airflow_client import AirflowClient

    client, dag = AirflowClient(url, "admin", password), "pneumonia_retraining"
    client.unpause(dag)
    run = client.trigger(dag, {}, "scaling benchmark")
    while True:
        found = [t for t in client.task_instances(dag, run) if t["task_id"] == "validate_batch"]
        ended = [t for t in found if t["end_date"] and t["state"] == "success"]
        if len(ended) == batches:
            break
        if any(t["state"] == "failed" for t in found):
            raise SystemExit(f"a validation failed in {run}")
        time.sleep(1)
    client.end_run(dag, run)
    spans = [(t["hostname"], _seconds(t["start_date"]), _seconds(t["end_date"])) for t in ended]
    return {
        "batches": batches,
        "workers": len({worker for worker, *_ in spans}),
        "seconds": round(max(end for *_, end in spans) - min(start for _, start, _ in spans), 2),
        "durations": [round(end - start, 2) for _, start, end in spans],
        "gap": round(between_tasks(spans), 2),
        "tries": sorted({t["try_number"] for t in ended}),
    }


def between_tasks(spans: Sequence[tuple[str, float, float]]) -> float:
    """Mean seconds that a worker with one slot stood idle between two tasks."""
    gaps = []
    for worker in {worker for worker, *_ in spans}:
        own = sorted((start, end) for name, start, end in spans if name == worker)
        gaps += [following[0] - before[1] for before, following in pairwise(own)]
    return sum(gaps) / len(gaps) if gaps else 0.0


def compare(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Measured against simulated seconds; all that the simulation knows was measured with one worker."""
    overheads = Overheads(dispatch=0.0, release=one["gap"])
    return [
        {
            "workers": workers,
            "measured": given["seconds"],
            "simulated": round(simulated, 1),
            "error": round(simulated / given["seconds"] - 1, 3),
        }
        for workers, given in ((1, one), (2, two))
        for simulated in [predicted_validation(one["durations"], workers, overheads)]
    ]


def upload(images: int, batches: int = BATCHES) -> None:
    """Draw and hand in ``batches`` batches of ``images`` films each, none of which was there before."""
    import tempfile

    from pneumo_tasks.intake.sent.batches import upload_batch
    from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore

    settings = Settings.load()
    store = ObjectStore.connect(settings)
    mark = uuid.uuid4().hex[:6]
    for number in range(batches):
        with tempfile.TemporaryDirectory() as folder:
            drawn = draw_phantoms(int(mark, 16) + number, images // 2, 0)
            write_phantoms(Path(folder), [replace(one, pixels=_enlarged(one.pixels)) for one in drawn])
            upload_batch(settings, store, Path(folder) / "train", f"scaling-{mark}-{number}", "train", True)


def _enlarged(pixels: Any) -> Any:
    """A phantom of the public films' median size."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(FILM, Image.Resampling.BICUBIC))


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    simulated = commands.add_parser("simulate")
    simulated.add_argument("--images", type=int, default=100_000, help="known from earlier weeks")
    simulated.add_argument("--new", type=int, default=5_000, help="arrived this week")
    simulated.add_argument("--sites", type=int, default=8, help="a batch each")
    simulated.add_argument("--json", action="store_true")
    uploaded = commands.add_parser("upload")
    uploaded.add_argument("--images", type=int, default=400, help="in each batch")
    measured = commands.add_parser("measure")
    measured.add_argument("--url", required=True)
    measured.add_argument("--password", required=True)
    compared = commands.add_parser("compare")
    compared.add_argument("one", type=Path, help="measured with one default worker")
    compared.add_argument("two", type=Path, help="measured with two")
    given = parser.parse_args()
    if given.command == "upload":
        upload(given.images)
        return
    if given.command == "measure":
        print(json.dumps(measure(given.url, given.password)))
        return
    if given.command == "compare":
        one, two = (json.loads(file.read_text()) for file in (given.one, given.two))
        for row in compare(one, two):
            print(row)
        print(f"two workers take {two['seconds'] / one['seconds']:.1%} of one's time")
        return
    week = Week(new=given.new, batches=given.sites, old=given.images)
    rows = table(week, Costs(), Overheads(), [(1, 1), (2, 1), (4, 2), (8, 4), (16, 8)])
    if given.json:
        print(json.dumps({"week": asdict(week), "costs": asdict(Costs()), "rows": rows}))
        return
    print(f"{given.images} known images, {given.new} new ones from {given.sites} sites; hours")
    for row in rows:
        sys.stdout.write("  ".join(f"{value!s:>10}" for value in row.values()) + "\n")


if __name__ == "__main__":
    main()
