"""A sample of films: a few of each group, always the same ones."""

import pandas as pd


def first_of_each(rows: pd.DataFrame, by: str | list[str], count: int) -> pd.DataFrame:
    """At most ``count`` rows of each group, those with the smallest sha256, in the order of sha256.

    A digest has nothing to do with what a film shows, so the choice favours none, and it does not
    depend on the order of ``rows``. The index stays.
    """
    return rows.sort_values("sha256").groupby(by, group_keys=False).head(count)
