"""Run by path in a fresh process that knows nothing of Pneumo: can this file be served?

Usage: python served_artefact.py MODEL.keras FILMS.npz; prints one JSON line, and ends early where its
standard input does, for then nobody waits for it. Imports Keras, TensorFlow
and NumPy alone, so a model that needs our code to load fails here.
"""

import json
import os
import resource
import sys
import threading
import time

import numpy as np


def main(model_path: str, films_path: str) -> None:
    threading.Thread(target=end_with_the_input, daemon=True).start()
    import keras
    import tensorflow as tf

    started = time.monotonic()
    model = keras.models.load_model(model_path, compile=False, safe_mode=True)
    loaded = time.monotonic() - started
    # One signature for films of any size, as an exported model has it: Keras alone would trace it thrice.
    signature = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    ask = tf.function(lambda film: model(film, training=False), input_signature=[signature])
    with np.load(films_path) as films:
        names = sorted(films.files)
        probability, seconds = {}, []
        for name in names:
            begun = time.monotonic()
            probability[name] = float(np.ravel(ask(films[name][None, ..., None]))[0])
            seconds.append(time.monotonic() - begun)
    answer = {
        "load_seconds": loaded,
        # The first call traces the graph; a service pays for it once.
        "latency_seconds": float(np.median(seconds[1:] or seconds)),
        "memory_mb": peak_memory_mb(),
        "probability": probability,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


def end_with_the_input() -> None:
    os.read(0, 1)  # not by sys.stdin: a thread that waits in it keeps an interpreter from its end
    os._exit(1)


def peak_memory_mb() -> float:
    """Linux's own figure of this program: getrusage also counts the process that started it."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
