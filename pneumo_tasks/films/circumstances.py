"""Circumstances: age, sex, device, month, side and urgency, too coarse to say anything of one person."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# The first year of each band, by whom the public data set is of (1 to 5), then childhood and adult ages.
_BANDS = (
    (0, "under 1"),
    (1, "1 to 4"),
    (5, "5 to 17"),
    (18, "18 to 39"),
    (40, "40 to 64"),
    (65, "65 and over"),
)
AGE_BANDS = tuple(name for _, name in _BANDS)
_OLDEST = 130
_A_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
_SEXES = {
    **dict.fromkeys(("m", "male", "man", "boy"), "male"),
    **dict.fromkeys(("f", "w", "female", "woman", "girl"), "female"),
    **dict.fromkeys(("o", "x", "other", "diverse"), "other"),
}
_LONGEST = 48
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_SIDES = {
    **dict.fromkeys(("r", "right"), "right"),
    **dict.fromkeys(("l", "left"), "left"),
    **dict.fromkeys(("b", "both", "bilateral"), "both"),
    **dict.fromkeys(("u", "unpaired"), "unpaired"),
}
_PRIORITIES = {
    **dict.fromkeys(("stat", "urgent", "emergency", "asap"), "urgent"),
    "high": "high",
    **dict.fromkeys(("routine", "normal", "medium", "elective"), "routine"),
    "low": "low",
}
_DATE = re.compile(
    r"(?:[0-9]{4}(?P<run>[0-9]{2})[0-9]{2}|[0-9]{4}[-/](?P<iso>[0-9]{1,2})(?:[-/T ].*)?"
    r"|[0-9]{1,2}\.(?P<dotted>[0-9]{1,2})\.[0-9]{4}.*)"
)


@dataclass(frozen=True)
class Circumstances:
    """Each "" where the file does not state it."""

    age_band: str = ""
    sex: str = ""
    device: str = ""
    month: str = ""
    laterality: str = ""
    priority: str = ""


def read_circumstances(dataset: Any) -> Circumstances:
    """What a DICOM header says; a birth date counts with the date of the study alone."""
    age = age_band(_text(dataset, "PatientAge")) or _band_of_dates(dataset)
    maker, model = _text(dataset, "Manufacturer"), _text(dataset, "ManufacturerModelName")
    return Circumstances(
        age_band=age,
        sex=sex_of(_text(dataset, "PatientSex")),
        device=device_of(f"{maker} {model}"),
        month=month_of(_text(dataset, "AcquisitionDate") or _text(dataset, "StudyDate")),
        laterality=side_of(_text(dataset, "ImageLaterality") or _text(dataset, "Laterality")),
        priority=priority_of(_text(dataset, "RequestedProcedurePriority")),
    )


def study_day(dataset: Any) -> str:
    """The date of the study as YYYYMMDD; "" where the file states none that a calendar has."""
    text = _text(dataset, "StudyDate")
    try:
        return f"{datetime.strptime(text, '%Y%m%d'):%Y%m%d}" if re.fullmatch("[0-9]{8}", text) else ""
    except ValueError:
        return ""


def age_band(text: str) -> str:
    """The band of an age: 45, 45.0, 045Y, 018M, or a band itself; "" for anything else."""
    if text.strip() in AGE_BANDS:
        return text.strip()
    found = re.fullmatch(r"([0-9]{1,3})(?:[.,]0+)? ?([YMWD]?)", text.strip().upper())
    return _band(int(found[1]) / _A_YEAR[found[2]]) if found else ""


def sex_of(text: str) -> str:
    """male, female or other, by the words and letters in use; "" for anything else."""
    return _SEXES.get(text.strip().casefold(), "")


def device_of(text: str) -> str:
    """Manufacturer and model in one spelling, at most 48 letters and digits of it."""
    return " ".join(re.findall(r"[A-Z0-9.+/-]+", text.upper()))[:_LONGEST].strip()


def month_of(text: str) -> str:
    """The month of a date, or a month's own name, without the year; "" where it is not certain.

    Dates are 20260503, 2026-05-03 or 03.05.2026. Of 03/05/2026 nobody knows which number is the day.
    """
    if (word := text.strip().capitalize()) in _MONTHS:
        return word
    found = _DATE.fullmatch(text.strip())
    number = int(next(filter(None, found.groups()))) if found else 0
    return _MONTHS[number - 1] if 1 <= number <= len(_MONTHS) else ""


def side_of(text: str) -> str:
    """right, left, both or unpaired; "" for anything else."""
    return _SIDES.get(text.strip().casefold(), "")


def priority_of(text: str) -> str:
    """urgent, high, routine or low; "" for anything else."""
    return _PRIORITIES.get(text.strip().casefold(), "")


def _band(years: float) -> str:
    return [name for first, name in _BANDS if first <= years][-1] if 0 <= years <= _OLDEST else ""


def _band_of_dates(dataset: Any) -> str:
    try:
        born, taken = (
            datetime.strptime(_text(dataset, name)[:8], "%Y%m%d").toordinal()
            for name in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return ""
    return _band((taken - born) / 365.25)


def _text(dataset: Any, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip()
