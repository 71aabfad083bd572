"""Depth: how many bits of a deep film hold its picture, and the same film in 8 bits.

Detectors write 10 to 14 bits into 16, and nothing in the file says so. A stretch to the film's own
range would turn the noise of a blank film into contrast, so the range is a power of two.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
VALUES = 2**16
_FEW = 0.01  # a share of pixels that may lie beyond the range: they are clipped
_MARKED = 0.15  # so large may a marker be that was burnt in, far above every value of the film

Counts = NDArray[np.int64]


def depth_of(counts: Counts) -> int:
    """The smallest of DEPTHS that holds the bulk of the values; ``counts[v]`` pixels have the value v.

    At most 1 % of the pixels lie beyond it, or 15 % that stand apart: none of them lies in the next
    bit. So a marker of 65,535 does not darken a film of 12 bits. A film without pixels has 8 bits.
    """
    whole = max(int(counts.sum()), 1)
    for bits in DEPTHS[:-1]:
        beyond = int(counts[2**bits :].sum())
        apart = not counts[2**bits : 2 ** (bits + 1)].any()
        if beyond <= _FEW * whole or (apart and beyond <= _MARKED * whole):
            return bits
    return DEPTHS[-1]


def counts_of(pixels: NDArray[np.integer[Any]]) -> Counts:
    """How many pixels have each value from 0 to 65,535."""
    counts = np.zeros(VALUES, np.int64)
    for row in range(0, len(pixels), 512):  # bincount wants 64 bits a pixel: not of the whole film at once
        counts += np.bincount(pixels[row : row + 512].ravel(), minlength=VALUES)
    return counts


def in_8_bits(pixels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """A film of values from 0 to 65,535 as uint8: what exceeds its depth is white.

    Monotone: of two pixels the one with the larger value is never the darker one.
    """
    bits = depth_of(counts_of(pixels))
    table = (np.minimum(np.arange(VALUES), 2**bits - 1) >> (bits - 8)).astype(np.uint8)
    shown: NDArray[np.uint8] = table[pixels]
    return shown
