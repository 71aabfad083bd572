"""Who a film belongs to: a patient key is a family and an id, in one canonical form, never a number alone."""

import re
import unicodedata
from dataclasses import dataclass

from pneumo_tasks.errors import BadConfiguration

RULE = "nfkc-casefold-1"  # the name of the canonical form, kept with the register of patients
MAX_ID = 64
_NO_SITE, _DICOM = "patient", "dicom"
_DROPPED = ("Cc", "Cf", "Zs", "Zl", "Zp")  # control and format characters, spaces of every kind


@dataclass(frozen=True)
class PatientKey:
    """One patient. ``str`` gives ``family:id``, the form that every table and split uses.

    The family belongs to the key because archives number their patients independently: in the
    public data set person1_bacteria and person1_virus are two children. ``shown`` is the family as it
    was written, for people.
    """

    family: str
    id: str
    shown: str = ""

    def __str__(self) -> str:
        return f"{self.family}:{self.id}"


def canonical(text: str) -> str:
    """The one form of an id or a family: NFKC, casefolded, digits as 0-9, without spaces or invisibles.

    A number loses its leading zeros, for spreadsheets drop them. Idempotent. What remains may be empty.
    """
    digits = "".join(_digit(letter) for letter in unicodedata.normalize("NFKC", text))
    kept = "".join(letter for letter in digits.casefold() if unicodedata.category(letter) not in _DROPPED)
    kept = unicodedata.normalize("NFKC", kept)
    return (kept.lstrip("0") or "0") if kept.isascii() and kept.isdigit() else kept


def canonical_key(key: str) -> str:
    """``family:id`` in canonical form: what earlier releases wrote becomes the key of today."""
    family, colon, number = key.partition(":")
    return f"{canonical(family)}:{canonical(number)}" if colon else canonical(key)


def id_fault(text: str) -> str | None:
    """Why an id may not enter the system; None where it may."""
    if any(unicodedata.category(letter) in ("Cs", "Cn", "Co") for letter in text):
        return "the id holds characters that cannot be written down"
    if len(text) > MAX_ID:
        return f"the id has {len(text)} characters, limit {MAX_ID}"
    if text and not canonical(text):
        return "the id holds nothing but spaces and invisible characters"
    return None


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile ``settings.patient_pattern``; BadConfiguration where it is no pattern with groups."""
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise BadConfiguration(
            "patient_pattern is not a regular expression", found=str(error), do="Set PNEUMO_PATIENT_PATTERN."
        ) from None
    if not found.groups:
        raise BadConfiguration(
            "patient_pattern has no groups", found=pattern, do="Put the number of the patient in parentheses."
        )
    return found


def from_column(patient_id: str, site: str = "", dicom: bool = False) -> PatientKey | None:
    """The key that a manifest or a DICOM pseudonym states; None where it is empty or not allowed.

    ``site`` is given where the site is part of the key (``PNEUMO_PATIENT_SITE``), and never otherwise.
    """
    if id_fault(patient_id) or not canonical(patient_id):
        return None
    return PatientKey(canonical(site) or (_DICOM if dicom else _NO_SITE), canonical(patient_id), site.strip())


def from_file_name(name: str, pattern: re.Pattern[str]) -> PatientKey | None:
    """The key that a file name holds: its numeric group is the id, the other groups the family.

    Leading zeros of the number are dropped, so that IM-0007 and IM-7 are one patient.
    """
    match = pattern.search(name)
    groups = [group for group in match.groups() if group] if match else []
    numbers = [group for group in groups if group.isdecimal()]
    if len(numbers) != 1 or id_fault(numbers[0]):
        return None
    family = "-".join(group for group in groups if not group.isdecimal())
    return PatientKey(canonical(family) or _NO_SITE, canonical(numbers[0]), family)


def _digit(letter: str) -> str:
    return str(unicodedata.decimal(letter)) if letter.isdecimal() else letter
