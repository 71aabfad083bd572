"""Whose DICOM film it is: the PatientID, who issued it, study and series, none of them ever in the clear."""

import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pneumo_tasks.films.nobody import is_missing, is_placeholder


@dataclass(frozen=True)
class Owner:
    """``pseudonym`` of the patient, "" without an id or a key; digests of issuer, study and series.

    ``former``: the pseudonym by the id exactly as it is written, which earlier releases used.
    ``placeholder``: the id is a known word for nobody.
    """

    pseudonym: str = ""
    former: str = ""
    issuer: str = ""
    study: str = ""
    series: str = ""
    placeholder: bool = False


def read_owner(dataset: Any, key: bytes | None, form: Callable[[str], str] = str) -> Owner:
    """``form`` gives the one form of an id, so that equal patients have equal pseudonyms.

    Raises UnicodeEncodeError where a text of the file cannot be written down.
    """
    patient = _text(dataset, "PatientID")
    patient = "" if is_missing(patient) else patient
    issuer = unicodedata.normalize("NFKC", _text(dataset, "IssuerOfPatientID")).casefold()
    return Owner(
        pseudonym(form(patient), key),
        pseudonym(patient, key),
        _digest(issuer, key)[:8] if patient else "",
        digest_of_uid(_text(dataset, "StudyInstanceUID"), key),
        digest_of_uid(_text(dataset, "SeriesInstanceUID"), key),
        is_placeholder(patient),
    )


def pseudonym(patient: str, key: bytes | None) -> str:
    """24 hexadecimal digits of the HMAC-SHA256 of the id; "" without an id or without a key."""
    return _digest(patient, key)[:24] if key else ""


def digest_of_uid(uid: str, key: bytes | None) -> str:
    """16 hexadecimal digits that tell a study or a series from others; "" without a UID."""
    return _digest(uid, key)[:16]


def _digest(text: str, key: bytes | None) -> str:
    """Without a key it only tells equal texts from others."""
    return hmac.new(key or b"pneumo", text.encode(), hashlib.sha256).hexdigest() if text else ""


def _text(dataset: Any, name: str) -> str:
    """The text of an element; its bytes one by one where the declared character set does not decode them.

    pydicom puts U+FFFD for each of those bytes, and two patients would become one.
    """
    if name not in dataset:
        return ""
    value = dataset.get_item(name).value
    raw = value if isinstance(value, bytes) else None
    try:
        text = str(getattr(dataset, name) or "")
    except (UnicodeDecodeError, LookupError):
        text = "\ufffd"
    if "\ufffd" in text and raw is not None:
        text = raw.decode("latin-1")
    text.encode()
    return text.strip(" \0")
