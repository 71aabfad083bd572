"""What commands cost in a bucket of 3,000 batches, runs and ledger entries.

Fills a SeaweedFS of its own, then runs each command as a person would, in a process of its own, and prints
one JSON line for each: seconds from its start to its end, seconds of CPU, MB at the peak.

Usage: python benchmarks/growth.py [--number N]
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests_intake
import requests_runs

from pneumo_tasks.local import seaweedfs
from pneumo_tasks.storage.object_store import ObjectStore

# Starts a command and watches it. A process of its own: the peak of a child begins with that of its parent.
_WATCHED = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
if status:
    sys.exit(f"{sys.argv[1:]} ended with {status}")
print(json.dumps({
    "seconds": round(time.monotonic() - began, 2),
    "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    "peak_mb": round(used.ru_maxrss / 1024),
}))
"""

# What is done in a process of its own, beside commands: a line of Python, told the open bucket.
_OPEN = "from pneumo_tasks.commands.terminal.opening import open_bucket; _, store = open_bucket(); "
_APPEND = (
    "from pneumo_tasks.promotion.ledger import ledger; ledger.append(store, ledger.NewEntry("
    "kind='rejected', version=None, attempt='one more', by='the gate', reason='recall'))"
)
_CATCH_UP = "from pneumo_tasks.promotion.runs.index import enter_missing; enter_missing(store)"
_DISCOVER = "from pneumo_tasks.intake.records.batch_list import discover_batches; discover_batches(store)"


def main(number: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = seaweedfs.start(Path(folder))
        try:
            began = time.monotonic()
            settings = requests_runs.settings_of(server)
            requests_runs.fill(settings, Path(folder), number, number, stages=100)
            requests_intake.fill(ObjectStore.connect(settings), number)
            _say(case="filled", number=number, seconds=round(time.monotonic() - began, 1))
            measure(number)
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def measure(number: int) -> None:
    batch, run = f"w{number // 2:05d}", f"old-{number // 2}"
    python = [sys.executable, "-c"]
    pneumo = [*python, "from pneumo_tasks.cli import main; main()"]
    cases = {
        "python alone": [*python, ""],
        "runs list, none in the index": [*pneumo, "runs", "list"],
        "first catch-up of the index": [*python, _OPEN + _CATCH_UP],
        "runs list": [*pneumo, "runs", "list"],
        "runs show, of one": [*pneumo, "runs", "show", run],
        "batch list": [*pneumo, "batch", "list"],
        "batch show, of one": [*pneumo, "batch", "show", batch],
        "discover": [*python, _OPEN + _DISCOVER],
        "models champion": [*pneumo, "models", "champion"],
        "models history": [*pneumo, "models", "history"],
        "models history, at a date": [*pneumo, "models", "history", "--at", "2030-01-01"],
        "models list": [*pneumo, "models", "list"],
        "one ledger append": [*python, _OPEN + _APPEND],
    }
    for name, command in cases.items():
        _say(case=name, **run_once(command))


def run_once(command: list[str]) -> dict[str, float]:
    """Seconds, seconds of CPU and MB at the peak of one process that has to succeed."""
    done = subprocess.run([sys.executable, "-c", _WATCHED, *command], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=3000)
    main(parser.parse_args().number)
