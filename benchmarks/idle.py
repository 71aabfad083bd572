"""What the running stack costs while nothing happens: share of a core, a process.

    python benchmarks/idle.py [--seconds 60] [--json]

CPU seconds are counted, so other work on the machine hardly changes the figures.
"""

import argparse
import json
import time

import psutil

from pneumo_tasks.local.processes import StartedProcess
from pneumo_tasks.local.stack import Place


def idle_shares(processes: tuple[StartedProcess, ...], seconds: float) -> dict[str, float]:
    """Percent of one core, by what the process calls itself, of all sessions of ``processes``."""
    before = _cpu_seconds(processes)
    time.sleep(seconds)
    shares: dict[str, float] = {}
    for (pid, name), spent in _cpu_seconds(processes).items():
        earlier = before.get((pid, name), 0.0)
        shares[name] = shares.get(name, 0.0) + 100 * (spent - earlier) / seconds
    return {name: round(share, 1) for name, share in sorted(shares.items(), key=lambda one: -one[1])}


def _cpu_seconds(processes: tuple[StartedProcess, ...]) -> dict[tuple[int, str], float]:
    found = {}
    for started in processes:
        for process in started.session():
            try:
                times, name = process.cpu_times(), " ".join(process.cmdline())[:60] or process.name()
            except psutil.Error:
                continue
            found[process.pid, f"{started.name}: {name}"] = times.user + times.system
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    stack = Place().read()
    if stack is None or not stack.is_running():
        raise SystemExit("Nothing runs here: start it with `make demo`.")
    shares = idle_shares(stack.processes, given.seconds)
    answer = {"seconds": given.seconds, "percent_of_a_core": round(sum(shares.values()), 1), "parts": shares}
    if given.as_json:
        print(json.dumps(answer))
        return
    for name, share in shares.items():
        print(f"{share:6.1f} %  {name}")
    print(f"{answer['percent_of_a_core']:6.1f} %  of one core altogether")


if __name__ == "__main__":
    main()
