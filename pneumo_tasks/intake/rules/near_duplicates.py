"""Near duplicates: a film that was compressed again, resized or brightened is still the same film.

A 64-bit perceptual hash cannot tell chest films apart (6 bits of distance join 1,613 pairs of the
public training set); 256 bits at distance 32 find its exact copies and nothing else. Drawn and
heavily standardised films come closer, so a candidate pair must also agree in its thumbnails.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.intake.inspecting.inspection import HASH_BITS

MIN_CORRELATION = 0.98
_QUERIES, _BLOCK = 256, 8192

Match = tuple[int, int] | None  # the row of the other film, and the distance


def near_duplicates(
    films: pd.DataFrame,
    accepted: pd.DataFrame,
    bits: int,
    thumbnails_of: Callable[[pd.DataFrame], list[bytes]],
) -> pd.Series:
    """For each film None, or in words the first accepted or earlier film that it repeats.

    ``films`` has columns file, phash and thumbnail, ``accepted`` batch_id, file and phash;
    ``thumbnails_of`` gives the thumbnails of some rows of ``accepted``. Memory grows with the number
    of films, never with the number of pairs: films of one hash are compared block by block.
    """
    found = pd.Series([None] * len(films), index=films.index, dtype=object)
    if bits < 0 or films.empty:
        return found
    ordered = films.sort_values("file", kind="stable")
    hashes, thumbnails, names = list(ordered["phash"]), list(ordered["thumbnail"]), list(ordered["file"])
    hashed = accepted[accepted["phash"].notna()]
    near = hashed[_near_any(list(hashed["phash"]), hashes, bits)]
    matches = first_matches(
        (hashes, thumbnails), (list(near["phash"]), thumbnails_of(near) if len(near) else []), bits
    )
    for row, match in enumerate(matches):
        if match:
            place = f"{near['batch_id'].iat[match[0]]}/{near['file'].iat[match[0]]}"
            found.loc[ordered.index[row]] = _said(place, match[1])
    new = [row for row, match in enumerate(matches) if not match]
    for row, match in _among_themselves([hashes[r] for r in new], [thumbnails[r] for r in new], bits):
        found.loc[ordered.index[new[row]]] = _said(names[new[match[0]]], match[1])
    return found


def first_matches(
    films: tuple[list[bytes], list[bytes]], known: tuple[list[bytes], list[bytes]], bits: int
) -> list[Match]:
    """For each film (hashes, thumbnails) the first known one that is near in both, or None.

    As matrix products: the distance of two hashes written as -1 and 1 is (256 - their dot product) / 2.
    """
    found: list[Match] = [None] * len(films[0])
    for start in range(0, len(known[0]), _BLOCK):
        signs, thumbnails = _signs(known[0][start : start + _BLOCK]), known[1][start : start + _BLOCK]
        for first in range(0, len(found), _QUERIES):
            rows = [r for r in range(first, min(first + _QUERIES, len(found))) if found[r] is None]
            dots = _signs([films[0][r] for r in rows]) @ signs.T
            near = dots >= HASH_BITS - 2 * bits
            if not near.any():
                continue
            near &= _looks([films[1][r] for r in rows]) @ _looks(thumbnails).T >= MIN_CORRELATION
            for at in np.flatnonzero(near.any(axis=1)):
                column = int(near[at].argmax())
                found[rows[at]] = (start + column, int(HASH_BITS - dots[at, column]) // 2)
    return found


def _among_themselves(
    hashes: list[bytes], thumbnails: list[bytes], bits: int
) -> list[tuple[int, tuple[int, int]]]:
    """(row, match) of each film that repeats an earlier one which stays, in the order of the rows."""
    kept: list[int] = []
    repeated: list[tuple[int, tuple[int, int]]] = []
    for first in range(0, len(hashes), _QUERIES):
        block = range(first, min(first + _QUERIES, len(hashes)))
        mine = [hashes[row] for row in block], [thumbnails[row] for row in block]
        before = first_matches(mine, ([hashes[k] for k in kept], [thumbnails[k] for k in kept]), bits)
        dots, looks = _signs(mine[0]) @ _signs(mine[0]).T, _looks(mine[1])
        near = (dots >= HASH_BITS - 2 * bits) & (looks @ looks.T >= MIN_CORRELATION)
        here: list[int] = []
        for at, match in enumerate(before):
            column = next((other for other in here if near[at, other]), None)
            if match:
                repeated.append((first + at, (kept[match[0]], match[1])))
            elif column is not None:
                repeated.append((first + at, (first + column, int(HASH_BITS - dots[at, column]) // 2)))
            else:
                here.append(at)
        kept += [first + at for at in here]
    return repeated


def _near_any(known: list[bytes], hashes: list[bytes], bits: int) -> NDArray[np.bool_]:
    """Which known hashes are near any of ``hashes``."""
    near = np.zeros(len(known), bool)
    for start in range(0, len(known), _BLOCK):
        signs = _signs(known[start : start + _BLOCK])
        for first in range(0, len(hashes), _QUERIES):
            dots = signs @ _signs(hashes[first : first + _QUERIES]).T
            near[start : start + len(signs)] |= (dots >= HASH_BITS - 2 * bits).any(axis=1)
    return near


def _said(place: str, distance: int) -> str:
    return f"{place} ({distance} of {HASH_BITS} bits differ)"


def _looks(thumbnails: list[bytes]) -> NDArray[np.float32]:
    """Thumbnails as rows whose dot products are their correlations; 0 where one is flat."""
    if not thumbnails:
        return np.zeros((0, 1), np.float32)
    rows = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    looks: NDArray[np.float32] = rows / np.maximum(length, 1e-6)
    return looks


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
