"""Ids as their sender wrote them: what programs did to them is undone where it is certain, else refused.

Spreadsheets and statistics packages write numbers with decimals, as powers of ten, or as dates.
"""

import re

_MONTHS = "jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
_DATE = re.compile(rf"\d{{1,2}}(-|\. ?| )({_MONTHS})|({_MONTHS})[- ]\d{{2,4}}", re.IGNORECASE)
_MIDNIGHT = re.compile(r".*[ T]00:00(:00)?(\.0+)?")
_POWER = re.compile(r"[0-9]([.,][0-9]+)?[eE][+-]?[0-9]+")
_WHOLE = re.compile(r"([0-9]+)[.,]0+")
_BROKEN = re.compile(r"[0-9]+[.,][0-9]*[1-9][0-9]*")
_TOO_LONG = re.compile(r"[0-9]{16,}[.,]0+")  # a float holds 15 digits for certain


def repaired(ids: list[str]) -> list[str]:
    """A column of ids without the marks of a program: ``="007"`` and ``'007`` are 007, and 7.0 is 7.

    Decimals go only where no id of the column has decimals of its own.
    """
    ids = [_without_marks(given) for given in ids]
    if any(_BROKEN.fullmatch(given) for given in ids):
        return ids
    return [
        whole[1] if (whole := _WHOLE.fullmatch(given)) and not _TOO_LONG.fullmatch(given) else given
        for given in ids
    ]


def program_fault(patient_id: str) -> str | None:
    """Why an id is no longer what its sender wrote, and cannot be repaired; None where it may be used."""
    if _POWER.fullmatch(patient_id):
        return "a spreadsheet wrote the id as a power of ten, and its digits are lost"
    if _TOO_LONG.fullmatch(patient_id):
        return "a program wrote the id as a number of more digits than it can hold"
    if patient_id.startswith("#"):
        return "a spreadsheet wrote an error in place of the id"
    if _DATE.fullmatch(patient_id) or _MIDNIGHT.fullmatch(patient_id):
        return "a spreadsheet wrote the id as a date"
    if "\ufffd" in patient_id:
        return "letters of the id were lost when it was decoded"
    return None


def _without_marks(given: str) -> str:
    formula = re.fullmatch(r"=\s*\"(.*)\"", given, re.DOTALL)
    return (formula[1] if formula else given.removeprefix("'")).strip()
