"""Films among films: the same pixels twice, the same pixels under two labels, a patient of two splits.

Pure functions over frames. ``films`` are the rows that break no rule on their own (columns file,
label, patient, sha256, pixel_digest), ``accepted`` what ``accepted.accepted_images`` returns.
Each function returns, for every row of ``films``, None or the other side in words.
"""

from collections.abc import Mapping

import pandas as pd

from pneumo_tasks.intake.records.register import Home


def other_labels(films: pd.DataFrame, batch: pd.DataFrame, accepted: pd.DataFrame) -> pd.Series:
    """Pixels that carry another label elsewhere in ``batch`` (also in quarantine) or were accepted so.

    Every copy in ``films`` is named; labels that differ in case alone are one label.
    """
    here = batch[batch["pixel_digest"].notna()].assign(where=batch["file"])
    there = accepted.assign(where=_place(accepted))
    columns = ["pixel_digest", "label", "where"]
    known = pd.concat([here[columns], there.loc[there["pixel_digest"].isin(here["pixel_digest"]), columns]])
    known = known[known["label"] != ""].assign(upper=known["label"].str.upper())
    torn = known.groupby("pixel_digest")["upper"].nunique()
    copies = dict(iter(known[known["pixel_digest"].isin(torn.index[torn > 1])].groupby("pixel_digest")))

    def named(pixels: str, label: str) -> str | None:
        if pixels not in copies:
            return None
        other = copies[pixels][copies[pixels]["upper"] != label.upper()].iloc[0]
        return f"{label}, but {other['label']} in {other['where']}"

    return _series(films, [named(p, la) for p, la in zip(films["pixel_digest"], films["label"], strict=True)])


def duplicates(films: pd.DataFrame, accepted: pd.DataFrame) -> pd.Series:
    """Films whose file or pixels were accepted before, or come earlier in the order of the file names."""
    place = _place(accepted)
    found = pd.Series([None] * len(films), index=films.index, dtype=object)
    for column in ("sha256", "pixel_digest"):
        before = dict(zip(accepted[column], place, strict=True))
        found = found.where(found.notna(), films[column].map(before).astype(object))
    ordered = films[found.isna()].sort_values("file", kind="stable")
    for column in ("sha256", "pixel_digest"):
        first = ordered.groupby(column)["file"].transform("first")
        repeated = ordered.index[ordered.duplicated(column)]
        again = first.where(first != ordered["file"], "listed twice in images.csv")
        found.loc[repeated] = again.loc[repeated]
    return found.where(found.notna(), None)


def disputes(films: pd.DataFrame, disputed: pd.DataFrame) -> pd.Series:
    """Films whose pixels another batch has in quarantine for a conflict: a copy does not settle it."""
    known = dict(
        zip(disputed["pixel_digest"], disputed["place"] + " (" + disputed["rule"] + ")", strict=True)
    )
    return _series(films, [known.get(pixels) for pixels in films["pixel_digest"]])


def other_splits(
    films: pd.DataFrame, split: str, accepted: pd.DataFrame, homes: Mapping[str, Home]
) -> pd.Series:
    """Films of a patient who is in the other split by the register, or by an accepted batch.

    A batch of split ``auto`` never clashes: its patients go where they already are.
    """
    if split == "auto":
        return _series(films, [None] * len(films))
    elsewhere = accepted[~accepted["split"].isin([split, "auto"])]
    known = dict(
        zip(elsewhere["patient"], elsewhere["split"] + " (" + elsewhere["batch_id"] + ")", strict=True)
    )
    registered = {
        p: f"{home.split} (register of patients)" for p, home in homes.items() if home.split != split
    }
    here = {patient for patient in films["patient"] if patient in homes and patient not in registered}
    found = {patient: place for patient, place in {**known, **registered}.items() if patient not in here}
    return _series(films, [found.get(patient) for patient in films["patient"]])


def _place(accepted: pd.DataFrame) -> pd.Series:
    return accepted["batch_id"] + "/" + accepted["file"]


def _series(films: pd.DataFrame, values: list[str | None]) -> pd.Series:
    return pd.Series(values, index=films.index, dtype=object)
