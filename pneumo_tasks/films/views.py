"""Views: whether a film is frontal, by the terms that are allowed and not by those that are forbidden."""

import re
from typing import Any, Literal

View = Literal["frontal", "other", "unknown", "not stated"]

_FRONTAL = {"AP", "PA", "FRONTAL", "ANTEROPOSTERIOR", "POSTEROANTERIOR"}
_PAIRS = ({"ANTERO", "POSTERIOR"}, {"POSTERO", "ANTERIOR"})
_BESIDE = {
    "ANTERO", "POSTERO", "ANTERIOR", "POSTERIOR", "CHEST", "THORAX", "VIEW", "PROJECTION", "RADIOGRAPH",
    "SUPINE", "ERECT", "UPRIGHT", "SITTING", "SEMI", "SEMIERECT", "STANDING", "PORTABLE", "MOBILE", "BEDSIDE",
}  # fmt: skip
_OTHER = {
    "LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBLIQUE", "OBL",
    "DECUBITUS", "DECUB", "LDECUB", "RDECUB", "XTABLE", "SWIMMERS", "LORDOTIC", "APICAL", "AXIAL",
    "TANGENTIAL", "LM", "ML", "SAGITTAL",
}  # fmt: skip
# Codes of DICOM CID 4010 where their meaning is missing: antero-posterior and postero-anterior.
_FRONTAL_CODES = {"R-10206", "R-10214", "399348003", "272479007"}


def view_of(term: str) -> View:
    """What a coded term says: of ViewPosition, of a view code's meaning, or of the column ``view``.

    Frontal are AP, PA and their spellings with words for how the patient stood. Whatever holds another
    word is not frontal: ``other`` where the word is known, else ``unknown``. A missing term: ``not stated``.
    """
    words = set(re.findall(r"[^\W\d_]+", term.upper()))
    if not words:
        return "not stated" if not term.strip() else "unknown"
    if words & _OTHER:
        return "other"
    named = bool(words & _FRONTAL) or any(pair <= words for pair in _PAIRS)
    return "frontal" if named and words <= _FRONTAL | _BESIDE else "unknown"


def stated_view(dataset: Any) -> str:
    """The term by which a DICOM file says its view, upper case, at most 48 letters; "" where it does not.

    The first of ViewPosition, ViewCodeSequence, PatientOrientation that says anything, then the words of
    the descriptions of series and protocol, of which only the plain ones count.
    """
    position = _text(dataset, "ViewPosition")
    return (position or _coded(dataset) or _oriented(dataset) or _described(dataset)).upper()[:48]


def _coded(dataset: Any) -> str:
    items = dataset.get("ViewCodeSequence") or []
    if not items:
        return ""
    if _text(items[0], "CodeValue") in _FRONTAL_CODES:
        return "FRONTAL"
    return _text(items[0], "CodeMeaning") or _text(items[0], "CodeValue")


def _oriented(dataset: Any) -> str:
    """Rows that run from the patient's one side to the other belong to a frontal film (PS3.3 C.7.6.1.1.1)."""
    value = dataset.get("PatientOrientation")
    if value is None or isinstance(value, str) or len(value) != 2:
        return ""
    row, column = (str(part).strip().upper()[:1] for part in value)
    if column not in ("F", "H"):
        return ""
    return "FRONTAL" if row in ("L", "R") else "LATERAL" if row in ("A", "P") else ""


def _described(dataset: Any) -> str:
    for name in ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription"):
        words = set(re.findall(r"[^\W\d_]+", _text(dataset, name).upper()))
        lateral, frontal = words & _OTHER, words & _FRONTAL
        if bool(lateral) != bool(frontal):  # "PA and lateral" names both films of a study
            return "LATERAL" if lateral else "FRONTAL"
    return ""


def _text(dataset: Any, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip()
