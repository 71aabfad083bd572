"""Near duplicates: a film that was compressed again, resized or brightened is still the same film.

A 64-bit perceptual hash cannot tell chest films apart (6 bits of distance join 1,613 pairs of the
public training set); 256 bits at distance 32 find its exact copies and nothing else. Drawn and
heavily standardised films come closer, so a candidate pair must also agree in its thumbnails.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.intake.inspection import HASH_BITS

MIN_CORRELATION = 0.98
_QUERIES, _BLOCK = 1024, 65536

Pairs = list[tuple[int, int, int]]


def near_pairs(hashes: list[bytes], known: list[bytes], bits: int) -> Pairs:
    """All (row of ``hashes``, row of ``known``, distance) at most ``bits`` apart, exactly.

    As a matrix product: the distance of two hashes written as -1 and 1 is (256 - their dot
    product) / 2, and a product over blocks asks a million known films in seconds.
    """
    pairs: Pairs = []
    for start in range(0, len(known), _BLOCK):
        block = _signs(known[start : start + _BLOCK])
        for first in range(0, len(hashes), _QUERIES):
            dots = _signs(hashes[first : first + _QUERIES]) @ block.T
            rows, columns = np.nonzero(dots >= HASH_BITS - 2 * bits)
            distances = ((HASH_BITS - dots[rows, columns]) / 2).astype(int)
            pairs += [
                (first + int(r), start + int(c), int(d))
                for r, c, d in zip(rows, columns, distances, strict=True)
            ]
    return pairs


def near_duplicates(films: pd.DataFrame, accepted: pd.DataFrame, bits: int) -> pd.Series:
    """For each film None, or in words which accepted or earlier film it repeats.

    ``films`` and ``accepted`` have columns file, phash and thumbnail; ``accepted`` also batch_id.
    """
    found = pd.Series([None] * len(films), index=films.index, dtype=object)
    if bits < 0 or films.empty:
        return found
    ordered = films.sort_values("file", kind="stable")
    hashes, thumbnails = list(ordered["phash"]), list(ordered["thumbnail"])
    names = list(ordered["file"])
    known = list(accepted["thumbnail"])
    others = list(accepted["batch_id"] + "/" + accepted["file"]) if len(accepted) else []
    for row, column, distance in near_pairs(hashes, list(accepted["phash"]), bits):
        if correlation(thumbnails[row], known[column]) >= MIN_CORRELATION:
            found.loc[ordered.index[row]] = f"{others[column]} ({distance} of {HASH_BITS} bits differ)"
    for row, column, distance in sorted(near_pairs(hashes, hashes, bits)):
        earlier_stays = column < row and found.loc[ordered.index[column]] is None
        if earlier_stays and correlation(thumbnails[row], thumbnails[column]) >= MIN_CORRELATION:
            found.loc[ordered.index[row]] = f"{names[column]} ({distance} of {HASH_BITS} bits differ)"
    return found


def correlation(one: bytes, other: bytes) -> float:
    """Pearson correlation of two thumbnails; 0 where one is flat."""
    a, b = (np.frombuffer(raw, np.uint8).astype(float) for raw in (one, other))
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread else 0.0


def _signs(hashes: list[bytes]) -> NDArray[np.float32]:
    if not hashes:
        return np.zeros((0, HASH_BITS), np.float32)
    packed = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), HASH_BITS // 8)
    signs: NDArray[np.float32] = np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
    return signs
