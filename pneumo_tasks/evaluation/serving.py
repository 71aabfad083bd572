"""Serving checks: the artefact as a service would meet it, in a process that never saw Pneumo."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import WorkerLost
from pneumo_tasks.evaluation import served_artefact
from pneumo_tasks.films.imaging import Grey

_TIMEOUT_SECONDS = 600
# How a traceback ends that is about memory, a disk or an installation, and not about the model.
_OF_THE_MACHINE = ("MemoryError", "OSError: [Errno 28]", "ModuleNotFoundError: No module named 'keras'")

# What this process found about models, by the sha256 of their files: a second try need not ask again.
_checked: "dict[str, ServingCheck]" = {}


class ServingCheck(BaseModel):
    """None where the artefact did not get that far; ``error`` then says why."""

    model_config = ConfigDict(frozen=True)

    loads: bool
    odd_films: int
    odd_films_answered: int
    parity: float | None
    load_seconds: float | None
    latency_seconds: float | None
    memory_mb: float | None
    error: str = ""


def check_serving(model: Path, films: Mapping[str, tuple[Grey, float]]) -> ServingCheck:
    """Load ``model`` in safe mode in a fresh process and ask it about ``films`` and odd ones.

    ``films`` carry the probability that the evaluation found: ``parity`` is the greatest
    difference to it. An odd film counts as answered if its answer is a finite probability.
    WorkerLost where the process was ended or got no time: that says nothing about the model.
    """
    odd = odd_films()
    asked = {f"film-{name}": grey for name, (grey, _) in films.items()}
    asked |= {f"odd-{name}": grey for name, grey in odd.items()}
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        np.savez(Path(folder) / "films.npz", **asked)  # type: ignore[arg-type]
        answer = _in_fresh_process(model, Path(folder) / "films.npz")
    if isinstance(answer, str):
        return ServingCheck(
            loads=False,
            odd_films=len(odd),
            odd_films_answered=0,
            parity=None,
            load_seconds=None,
            latency_seconds=None,
            memory_mb=None,
            error=answer,
        )
    probability = answer["probability"]
    gaps = [abs(probability[f"film-{name}"] - expected) for name, (_, expected) in films.items()]
    return ServingCheck(
        loads=True,
        odd_films=len(odd),
        odd_films_answered=sum(_is_probability(probability[f"odd-{name}"]) for name in odd),
        parity=max(gaps) if gaps and all(map(math.isfinite, gaps)) else None,
        load_seconds=answer["load_seconds"],
        latency_seconds=answer["latency_seconds"],
        memory_mb=answer["memory_mb"],
    )


def remember(model_sha256: str, check: ServingCheck) -> None:
    """Make no other check of this model in this process. The bucket keeps none: its writer could have."""
    _checked[model_sha256] = check


def remembered(model_sha256: str) -> ServingCheck | None:
    return _checked.get(model_sha256)


def odd_films() -> dict[str, Grey]:
    """What a service is sent one day: blank, tiny, long, large and saturated films."""
    ramp = np.linspace(0, 255, 301 * 217).reshape(301, 217).astype(np.uint8)
    return {
        "all black": np.zeros((200, 200), np.uint8),
        "all white": np.full((200, 200), 255, np.uint8),
        "odd sides": ramp,
        "a strip": np.full((40, 900), 90, np.uint8),
        "tiny": np.full((9, 7), 128, np.uint8),
        "large": np.tile(ramp, (6, 8)),
        "noise": np.random.default_rng(0).integers(0, 256, (333, 257), np.uint8),
    }


def _in_fresh_process(model: Path, films: Path) -> dict[str, Any] | str:
    """The script's answer, or what it said of the model on its way down."""
    # -I: neither the current folder nor PYTHONPATH, so that our package cannot be imported by chance.
    command = [sys.executable, "-I", served_artefact.__file__, str(model), str(films)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    # The script ends when its input does: at the latest with this process, however that ends.
    listening, ending = os.pipe()
    try:
        done = subprocess.run(
            command, stdin=listening, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, env=quiet,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _lost(f"no answer within {_TIMEOUT_SECONDS} s") from None
    finally:
        os.close(listening)
        os.close(ending)
    said = done.stderr.strip()[-500:]
    if done.returncode < 0 or any(f"\n{fault}" in f"\n{done.stderr}" for fault in _OF_THE_MACHINE):
        raise _lost(f"exit {done.returncode}: {said}")
    if done.returncode:
        return f"exit {done.returncode}: {said}"
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _lost(found: str) -> WorkerLost:
    return WorkerLost(
        "the serving check could not be finished",
        found=found,
        do="It is tried again; the model is not judged.",
    )


def _is_probability(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= 1
