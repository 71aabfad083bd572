"""Near duplicates: a film that was compressed again, resized or brightened is still the same film.

A 64-bit perceptual hash cannot tell chest films apart (6 bits of distance join 1,613 pairs of the
public training set); 256 bits at distance 32 find its exact copies and nothing else. Drawn and
heavily standardised films come closer, so a candidate pair must also agree in its thumbnails.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.intake.inspection import HASH_BITS

MIN_CORRELATION = 0.98
_QUERIES, _BLOCK = 1024, 65536

Pairs = list[tuple[int, int, int]]


def near_pairs(hashes: list[bytes], known: list[bytes] | None, bits: int) -> Pairs:
    """All (row of ``hashes``, row of ``known``, distance) at most ``bits`` apart, exactly.

    Without ``known``: all pairs of ``hashes`` themselves, the later row first. As a matrix
    product: the distance of two hashes written as -1 and 1 is (256 - their dot product) / 2, and a
    product over blocks asks a million known films in seconds.
    """
    pairs: Pairs = []
    others = hashes if known is None else known
    for start in range(0, len(others), _BLOCK):
        block = _signs(others[start : start + _BLOCK])
        for first in range(start if known is None else 0, len(hashes), _QUERIES):
            dots = _signs(hashes[first : first + _QUERIES]) @ block.T
            rows, columns = np.nonzero(dots >= HASH_BITS - 2 * bits)
            distances = ((HASH_BITS - dots[rows, columns]) / 2).astype(int)
            found = zip((rows + first).tolist(), (columns + start).tolist(), distances.tolist(), strict=True)
            pairs += [pair for pair in found if known is not None or pair[1] < pair[0]]
    return pairs


def near_duplicates(
    films: pd.DataFrame,
    accepted: pd.DataFrame,
    bits: int,
    thumbnails_of: Callable[[pd.DataFrame], list[bytes]],
) -> pd.Series:
    """For each film None, or in words which accepted or earlier film it repeats.

    ``films`` has columns file, phash and thumbnail, ``accepted`` batch_id, file and phash;
    ``thumbnails_of`` gives the thumbnails of some rows of ``accepted``.
    """
    found = pd.Series([None] * len(films), index=films.index, dtype=object)
    if bits < 0 or films.empty:
        return found
    ordered = films.sort_values("file", kind="stable")
    hashes, thumbnails, names = list(ordered["phash"]), list(ordered["thumbnail"]), list(ordered["file"])
    hashed = accepted[accepted["phash"].notna()]
    pairs = near_pairs(hashes, list(hashed["phash"]), bits)
    candidates = hashed.iloc[sorted({column for _, column, _ in pairs})]
    known = dict(zip(candidates.index, thumbnails_of(candidates) if pairs else [], strict=True))
    for row, column, distance in pairs:
        other = hashed.index[column]
        if correlation(thumbnails[row], known[other]) >= MIN_CORRELATION:
            place = f"{hashed['batch_id'][other]}/{hashed['file'][other]}"
            found.loc[ordered.index[row]] = f"{place} ({distance} of {HASH_BITS} bits differ)"
    for row, column, distance in sorted(near_pairs(hashes, None, bits)):
        earlier_stays = found.loc[ordered.index[column]] is None
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
