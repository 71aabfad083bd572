"""Fuzzing of what reads things that others wrote: each input ends in words of ours, soon, in little memory.

Inputs are real ones with damage (see ``mutations``), each drawn from its number: a finding names the target
and the number, and ``--target NAME --number N`` plays it again. Every target runs in a process of its own,
which is started again where an input ends it. A finding is an exception that is not ours, an end of the
process, an input that takes more than LIMIT_SECONDS, or more than LIMIT_MB beyond what the process had.

Usage: python benchmarks/fuzz.py --minutes N --seed S [--target NAME [--number N]] [--json]
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))

from benchmarks.fuzz_targets import TARGETS, Target

LIMIT_SECONDS, LIMIT_MB = 10.0, 1500
_SILENT = 120.0  # an input that takes longer than this is ended with its process


@dataclass(frozen=True)
class Finding:
    target: str
    number: int
    what: str


@dataclass
class Tally:
    """What one target was asked, and what was found."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()


def given(target: Target, seed: int, number: int) -> bytes:
    """The input of a number: the same bytes for the same seed, on any machine."""
    return target.damage(Random(f"{seed}/{target.name}/{number}"), target.seeds())


def play(target: Target, seed: int, number: int) -> str:
    """Enter one input; what is wrong with how it ended, empty where nothing is."""
    data = given(target, seed, number)
    begun, before = time.monotonic(), _peak()
    try:
        target.enter(data)
    except target.ours:
        pass
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:160]!r}"
    took, grown = time.monotonic() - begun, _peak() - before
    if took > LIMIT_SECONDS:
        return f"{took:.1f} s, limit {LIMIT_SECONDS:g} s"
    return f"{grown:.0f} MB, limit {LIMIT_MB} MB" if grown > LIMIT_MB else ""


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _work(name: str, seed: int, first: int, seconds: float, to: Connection) -> None:
    """Enter inputs from ``first`` on; each number is told before, for the process may end in it."""
    target = TARGETS[name]
    target.seeds()
    play(target, seed, first)  # imports and first use are no input's time
    until, number = time.monotonic() + seconds, first
    while time.monotonic() < until:
        to.send((number, None))
        if what := play(target, seed, number):
            to.send((number, what))
        number += 1
    to.send((number, "done"))


def fuzz(name: str, seed: int, seconds: float) -> Tally:
    """One target for so long, in a process that is started again after an input that ended it."""
    tally, begun, first = Tally(name), time.monotonic(), 0
    seen: set[str] = set()
    while (left := seconds - (time.monotonic() - begun)) > 0:
        for number, what in _told(name, seed, first, left):
            tally.inputs += what is None
            kind = (what or "").split(": ")[0]
            if what and what != "done" and kind not in seen:
                seen.add(kind)
                tally.findings += (Finding(name, number, what),)
            first = number + 1
    tally.seconds = time.monotonic() - begun
    return tally


def _told(name: str, seed: int, first: int, seconds: float) -> Iterator[tuple[int, str | None]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, seed, first, seconds, theirs), daemon=True)
    process.start()
    theirs.close()
    number = first
    try:
        while ours.poll(_SILENT):
            number, what = ours.recv()
            yield number, what
            if what == "done":
                return
        yield number, f"no answer for {_SILENT:g} s"
    except EOFError:
        process.join(10)
        yield number, f"the process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--number", type=int, help="play one input again")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.target and asked.number is not None:
        print(play(TARGETS[asked.target], asked.seed, asked.number) or "nothing")
        return
    names = [asked.target] if asked.target else list(TARGETS)
    tallies = [fuzz(name, asked.seed, asked.minutes * 60 / len(names)) for name in names]
    if asked.json:
        print(json.dumps([asdict(tally) for tally in tallies], indent=1))
    else:
        for tally in tallies:
            print(f"{tally.target:12} {tally.inputs:8} inputs in {tally.seconds:.0f} s")
            for found in tally.findings:
                print(f"  {found.number}: {found.what}")
    raise SystemExit(1 if any(tally.findings for tally in tallies) else 0)


if __name__ == "__main__":
    main()
