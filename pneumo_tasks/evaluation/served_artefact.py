"""Run by path in a fresh process that knows nothing of Pneumo: can this file be served?

Usage: python served_artefact.py MODEL.keras FILMS.npz; prints one JSON line. Imports Keras and
NumPy alone, so a model that needs our code to load fails here.
"""

import json
import resource
import sys
import time

import numpy as np


def main(model_path: str, films_path: str) -> None:
    import keras

    started = time.monotonic()
    model = keras.models.load_model(model_path, compile=False, safe_mode=True)
    loaded = time.monotonic() - started
    with np.load(films_path) as films:
        names = sorted(films.files)
        probability, seconds = {}, []
        for name in names:
            begun = time.monotonic()
            probability[name] = float(np.ravel(model.predict_on_batch(films[name][None, ..., None]))[0])
            seconds.append(time.monotonic() - begun)
    answer = {
        "load_seconds": loaded,
        # The first call traces the graph; a service pays for it once.
        "latency_seconds": float(np.median(seconds[1:] or seconds)),
        "memory_mb": peak_memory_mb(),
        "probability": probability,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


def peak_memory_mb() -> float:
    """Linux's own figure of this program: getrusage also counts the process that started it."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
