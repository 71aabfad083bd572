"""Shards: slices of a batch whose features are computed and kept together."""

import hashlib

import pandas as pd


def assign_shards(training: pd.DataFrame, shard_images: int) -> pd.Series:
    """Name the shard of every row, at most ``shard_images`` rows a shard.

    A shard never spans two batches and its name is a digest of its images, so a new batch adds
    shards and leaves the others, and their cached features, as they are.
    """
    shard = pd.Series("", index=training.index, dtype=object)
    for _, batch in training.groupby("batch_id"):
        rows = batch.sort_values("sha256")
        for start in range(0, len(rows), shard_images):
            part = rows.iloc[start : start + shard_images]
            shard.loc[part.index] = shard_id(list(part["sha256"]))
    return shard


def shard_id(image_digests: list[str]) -> str:
    """The first 16 hex digits of the sha256 over the sorted image digests."""
    return hashlib.sha256("\n".join(sorted(image_digests)).encode()).hexdigest()[:16]
