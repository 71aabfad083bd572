"""Who a film belongs to: a patient key is a family and an id, never a number alone."""

import re
from dataclasses import dataclass

from pneumo_tasks.errors import BadConfiguration

_NO_SITE = "patient"


@dataclass(frozen=True)
class PatientKey:
    """One patient. ``str`` gives ``family:id``, the form that every table and split uses.

    The family belongs to the key because archives number their patients independently: in the
    public data set person1_bacteria and person1_virus are two children.
    """

    family: str
    id: str

    def __str__(self) -> str:
        return f"{self.family}:{self.id}"


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


def from_column(patient_id: str, site: str = "") -> PatientKey | None:
    """The key that a manifest states; None where its patient_id is empty."""
    patient_id, site = patient_id.strip(), site.strip()
    return PatientKey(site or _NO_SITE, patient_id) if patient_id else None


def from_file_name(name: str, pattern: re.Pattern[str]) -> PatientKey | None:
    """The key that a file name holds: its numeric group is the id, the other groups the family.

    Leading zeros of the number are dropped, so that IM-0007 and IM-7 are one patient.
    """
    match = pattern.search(name)
    groups = [group for group in match.groups() if group] if match else []
    numbers = [group for group in groups if group.isdecimal()]
    if len(numbers) != 1:
        return None
    family = "-".join(group for group in groups if not group.isdecimal())
    return PatientKey(family or _NO_SITE, numbers[0].lstrip("0") or "0")
