"""Films among films: the same pixels twice, the same pixels under two labels, a patient of two splits.

Pure functions over frames. ``films`` are the rows that break no rule on their own (columns file,
label, patient, sha256, pixel_sha256), ``accepted`` what ``accepted.accepted_images`` returns.
Each function returns, for every row of ``films``, None or the other side in words.
"""

import pandas as pd


def other_labels(films: pd.DataFrame, accepted: pd.DataFrame) -> pd.Series:
    """Pixels that carry another label here or in an accepted batch: all copies in ``films`` are named."""
    here = films.assign(where=films["file"])[["pixel_sha256", "label", "where"]]
    there = accepted.assign(where=_place(accepted))[["pixel_sha256", "label", "where"]]
    known = pd.concat([here, there[there["pixel_sha256"].isin(films["pixel_sha256"])]])
    torn = known.groupby("pixel_sha256")["label"].nunique()
    copies = known[known["pixel_sha256"].isin(torn.index[torn > 1])]
    by_pixels = dict(iter(copies.groupby("pixel_sha256")))

    def named(row: pd.Series) -> str | None:
        group = by_pixels.get(row["pixel_sha256"])
        if group is None:
            return None
        other = group[group["label"] != row["label"]].iloc[0]
        return f"{row['label']}, but {other['label']} in {other['where']}"

    return _series(films, [named(row) for _, row in films.iterrows()] if by_pixels else None)


def duplicates(films: pd.DataFrame, accepted: pd.DataFrame) -> pd.Series:
    """Films whose file or pixels were accepted before, or come earlier in the order of the file names."""
    place = _place(accepted)
    found = pd.Series(None, index=films.index, dtype=object)
    for column in ("sha256", "pixel_sha256"):
        before = dict(zip(accepted[column], place, strict=True))
        found = found.where(found.notna(), films[column].map(before).astype(object))
    ordered = films[found.isna()].sort_values("file", kind="stable")
    for column in ("sha256", "pixel_sha256"):
        first = ordered.groupby(column)["file"].transform("first")
        repeated = ordered.index[ordered.duplicated(column)]
        found.loc[repeated] = first.loc[repeated]
    return found.where(found.notna(), None)


def other_splits(films: pd.DataFrame, split: str, accepted: pd.DataFrame) -> pd.Series:
    """Films of a patient whom an accepted batch placed in the other split.

    A batch of split ``auto`` never clashes: its patients go where they already are.
    """
    if split == "auto":
        return _series(films, None)
    elsewhere = accepted[~accepted["split"].isin([split, "auto"])]
    known = dict(
        zip(elsewhere["patient"], elsewhere["split"] + " (" + elsewhere["batch_id"] + ")", strict=True)
    )
    return _series(films, [known.get(patient) for patient in films["patient"]])


def _place(accepted: pd.DataFrame) -> pd.Series:
    return accepted["batch_id"] + "/" + accepted["file"]


def _series(films: pd.DataFrame, values: list[str | None] | None) -> pd.Series:
    return pd.Series(values if values is not None else [None] * len(films), index=films.index, dtype=object)
