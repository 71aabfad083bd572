"""Nobody: the words that stand where an id is missing, and the ids that stand for no patient."""

import re
import unicodedata

# What statistics packages and people write where a value is missing.
_MISSING = {
    "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "missing", "unknown", "-", "--", "?", ".",
    "(null)", "#null!", "not available", "not known", "n.a.", "k.a.", "unbekannt", "inconnu",
}  # fmt: skip
# Ids that stand for nobody: one of them covers the films of many patients.
_PLACEHOLDERS = {
    "anonymous", "anonymized", "anonymised", "anonym", "anon", "anonymouspatient", "anonymizedpatient",
    "unknown", "unknownpatient", "unbekannt", "inconnu", "desconocido", "notavailable", "notknown",
    "deidentified", "deleted", "removed", "redacted", "hidden", "private", "noid", "nopatientid", "noname",
    "patient", "patientid", "id", "pid", "test", "testpatient", "phantom", "dummy", "default", "unnamed",
    "none", "null", "na", "nan", "nil", "missing", "empty", "johndoe", "doejohn", "janedoe", "doejane",
    "emergency", "trauma", "temp", "tmp",
}  # fmt: skip


def is_missing(text: str) -> bool:
    """Whether a cell or a tag says in a word that there is no value."""
    return text.strip().casefold() in _MISSING


def is_placeholder(patient: str) -> bool:
    """Whether an id is a known word for nobody, or one digit or letter over and over: ANONYMOUS, 0, XXXX."""
    text = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", patient).casefold())
    if not text:
        return bool(patient.strip())
    repeated = len(set(text)) == 1 and (text[0] in "0x" or len(text) >= 4)
    return repeated or text in _PLACEHOLDERS or text.rstrip("0123456789") in ("anonymous", "anonymized")
