"""The machine's peak: the fastest matrix product or convolution that TensorFlow reaches here."""

import time
from typing import Any

import numpy as np

REPEATS = 4


def measure_peak(precision: str) -> float:
    """GFLOP/s in 'float32' or 'mixed_bfloat16': the best of large products and of VGG's own convolutions."""
    import tensorflow as tf

    dtype = tf.float32 if precision == "float32" else tf.bfloat16
    best = 0.0
    side = 4096
    a, b = (tf.cast(tf.random.normal((side, side)), dtype) for _ in range(2))
    best = max(best, 2 * side**3 / _best_seconds(tf.function(lambda: tf.matmul(a, b))))
    for image, channels in ((75, 128), (37, 256), (18, 512)):
        x = tf.cast(tf.random.normal((64, image, image, channels)), dtype)
        k = tf.cast(tf.random.normal((3, 3, channels, channels)), dtype)
        flops = 2 * 64 * image**2 * 9 * channels**2
        convolve = tf.function(lambda x=x, k=k: tf.nn.conv2d(x, k, 1, "SAME"))
        best = max(best, flops / _best_seconds(convolve))
    return best / 1e9


def gflop_per_image(model: Any) -> float:
    """Multiplications and additions of a network's convolutions, for one image."""
    total = 0
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            total += 2 * int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
    return total / 1e9


def _best_seconds(compute: Any) -> float:
    compute()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        np.asarray(compute()[:1])
        seconds.append(time.perf_counter() - started)
    return min(seconds)
