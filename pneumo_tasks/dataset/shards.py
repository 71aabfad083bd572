"""Shards: parts of a batch whose features are computed and kept together."""

import hashlib
from collections.abc import Sequence

import pandas as pd

# Airflow maps one task over at most 1,024 items ([core] max_map_length).
MOST_MAPPED = 500


def assign_shards(training: pd.DataFrame, shard_images: int) -> pd.Series:
    """Name the shard of every row, at most ``shard_images`` rows a shard.

    A shard holds the images of one batch whose sha256 starts with the same bits, as many bits as
    keep it small enough. A new batch adds shards; withdrawing an image leaves every other shard's
    name and images as they are (two small neighbours may become one).
    """
    shard = pd.Series("", index=training.index, dtype=object)
    for batch_id, rows in training.groupby("batch_id"):
        bits = rows["sha256"].map(lambda digest: f"{int(digest, 16):0{4 * len(digest)}b}")
        _name(str(batch_id), "", bits, shard_images, shard)
    return shard


def _name(batch_id: str, prefix: str, bits: "pd.Series[str]", shard_images: int, shard: pd.Series) -> None:
    if len(bits) <= shard_images or len(prefix) >= len(bits.iloc[0]):
        shard.loc[bits.index] = shard_id(batch_id, prefix)
        return
    ones = bits.str[len(prefix)] == "1"
    for bit, part in (("0", bits[~ones]), ("1", bits[ones])):
        if not part.empty:
            _name(batch_id, prefix + bit, part, shard_images, shard)


def shard_id(batch_id: str, prefix: str) -> str:
    """16 hex digits for the images of a batch whose sha256 starts with the bits ``prefix``."""
    return hashlib.sha256(f"{batch_id}\0{prefix}".encode()).hexdigest()[:16]


def in_groups(shards: Sequence[str], most: int = MOST_MAPPED) -> list[list[str]]:
    """Every shard in one of at most ``most`` groups, whose sizes differ by one at most."""
    count = min(most, len(shards))
    return [list(shards[first::count]) for first in range(count)]
