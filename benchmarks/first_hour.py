"""What a new user waits for: a clone, `make setup`, `make demo`, `make test`, `pneumo --help`, an idle stack.

    python benchmarks/first_hour.py [--json] [--empty-caches] [--without test,demo]

Everything happens in a temporary clone of the commit that is checked out; the figures are of this
machine, with its processor named beside them. The shares of the demo's stages come from the run's own record.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[1]
GOALS = {"setup, empty caches": 90, "setup, warm caches": 20, "demo": 240, "second demo": 12, "test": 300,
         "pneumo --help": 0.4, "idle stack, % of a core": 10}  # fmt: skip
DEMO_WITH_BFLOAT16 = 150
IDLE_SECONDS = 30
# What a shell that works on another checkout, or on another store, says to every command.
_OF_THE_SHELL = ("PNEUMO_", "AWS_", "AIRFLOW_", "PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--empty-caches", action="store_true", help="also measure setup that downloads all")
    parser.add_argument("--without", default="", help="what to leave out: demo, test")
    given = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory(prefix="pneumo-first-hour-") as folder:
        figures = measure(Path(folder), given.empty_caches, set(given.without.split(",")))
    facts = {**machine(), "load before": load}
    goals = GOALS | ({"demo": DEMO_WITH_BFLOAT16} if facts["bfloat16"] else {})
    if given.json:
        print(json.dumps({"machine": facts, **figures, "goals": goals}, indent=1))
        return
    for name, value in facts.items():
        print(f"{name}: {value}")
    for name, seconds in figures["seconds"].items():
        print(f"{name:24} {seconds:8.2f}   goal {goals.get(name, '-')}")
    for stage, share in figures["shares of the demo"].items():
        print(f"  {stage:22} {share:8.1%}")


def measure(folder: Path, empty_caches: bool, without: set[str]) -> dict[str, Any]:
    """The seconds of each command in a clone below ``folder``, and the shares of the demo's stages."""
    seconds: dict[str, float] = {}
    clone = folder / "clone"
    run(["git", "clone", "--quiet", str(PROJECT), str(clone)], folder)
    if empty_caches:
        caches = {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}
        seconds["setup, empty caches"] = timed(["make", "setup"], clone, **caches)
        run(["rm", "-rf", ".venv"], clone)
    else:
        caches = {}
        timed(["make", "setup"], clone)  # what it downloads is in the caches then
        run(["rm", "-rf", ".venv"], clone)
    seconds["setup, warm caches"] = timed(["make", "setup"], clone, **caches)
    pneumo = [str(clone / ".venv/bin/pneumo"), "--help"]
    timed(pneumo, clone)
    seconds["pneumo --help"] = min(timed(pneumo, clone) for _ in range(5))
    shares: dict[str, float] = {}
    if "demo" not in without:
        with stopped_afterwards(clone):
            seconds["demo"] = timed(["make", "demo"], clone)
            shares = stage_shares(clone, seconds["demo"])
            seconds["second demo"] = timed(["make", "demo"], clone)
            seconds["idle stack, % of a core"] = idle_load(clone)
    if "test" not in without:
        seconds["test"] = timed(["make", "test"], clone)
    return {"seconds": seconds, "shares of the demo": shares}


def run(command: list[str], where: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_SHELL)}
    done = subprocess.run(
        command, cwd=where, env={**environment, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout


def timed(command: list[str], where: Path, **variables: str) -> float:
    print(f"{' '.join(command)} ...", file=sys.stderr)
    started = time.monotonic()
    run(command, where, **variables)
    return round(time.monotonic() - started, 2)


@contextmanager
def stopped_afterwards(clone: Path) -> Iterator[None]:
    try:
        yield
    finally:
        run(["make", "down"], clone)


def stage_shares(clone: Path, whole: float) -> dict[str, float]:
    """The part of the demo's seconds that each stage of its newest run took; the rest is starting up."""
    pneumo = str(clone / ".venv/bin/pneumo")
    newest = json.loads(run([pneumo, "runs", "list", "--json"], clone))[0]["run_id"]
    stages = json.loads(run([pneumo, "runs", "show", newest, "--json"], clone))["stages"]
    shares: dict[str, float] = {}
    for stage in stages:
        shares[stage["name"]] = shares.get(stage["name"], 0.0) + stage["seconds"] / whole
    shares["everything else"] = max(0.0, 1.0 - sum(shares.values()))
    return {name: round(share, 4) for name, share in shares.items()}


def idle_load(clone: Path) -> float:
    """Percent of a core that the processes of the stack take together while nothing is asked of them."""
    recorded = json.loads((clone / ".local/stack.json").read_text())["processes"]
    leaders = [psutil.Process(process["pid"]) for process in recorded]
    time.sleep(10)
    before = spent_by(leaders)
    time.sleep(IDLE_SECONDS)
    return round(100 * (spent_by(leaders) - before) / IDLE_SECONDS, 1)


def spent_by(leaders: list[psutil.Process]) -> float:
    """Processor seconds of these processes and all they started, those that have ended included."""
    family = [process for leader in leaders for process in (leader, *leader.children(recursive=True))]
    return sum(busy(process) for process in family)


def busy(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))  # its own, and those of its children that have ended
    except psutil.NoSuchProcess:
        return 0.0


def machine() -> dict[str, Any]:
    facts = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*:\s*(.+)", facts)
    return {
        "processor": name.group(1) if name else "unknown",
        "cores": os.cpu_count(),
        "bfloat16": bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", facts)),
    }


if __name__ == "__main__":
    main()
