"""The row rules: what each file has to be, in the order in which a sender should hear of it."""

from dataclasses import dataclass
from typing import Any, Literal

from pneumo_tasks.settings import LABELS, Settings

FORMATS = ("JPEG", "PNG")
MODES = ("grey", "grey+alpha", "rgb", "rgb+alpha", "palette")

Kind = Literal["empty", "set", "between"]


@dataclass(frozen=True)
class Rule:
    """One expectation on one column of the facts; a null cell means the rule does not apply.

    ``kind`` is ``empty`` (the cell must be null), ``set`` (one of ``values``) or ``between``
    (``low`` to ``high``, both included).
    """

    name: str
    column: str
    kind: Kind
    limit: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None


def film_rules(settings: Settings) -> list[Rule]:
    """Rules on a file alone."""
    side, longest = settings.min_image_side, settings.max_image_side
    return [
        Rule("path-inside-batch", "path_fault", "empty", "a plain path below the batch"),
        Rule("file-present", "present", "set", "the file was uploaded", (True,)),
        _between("bytes", "bytes", "bytes", 1, settings.max_image_bytes),
        Rule("format", "format", "set", " or ".join(FORMATS), FORMATS),
        Rule("format-matches-name", "suffix_fault", "empty", "the suffix names the content"),
        _between("pixels", "pixels", "pixels", 1, settings.max_image_pixels),
        _between("shortest-side", "short_side", "pixels", side, None),
        _between("longest-side", "long_side", "pixels", None, longest),
        Rule("colour-model", "mode", "set", "grey, RGB or palette", MODES),
        Rule("decodable", "decode_error", "empty", "every pixel can be decoded"),
        _between("not-blank", "grey_deviation", "grey levels", settings.min_grey_deviation, None),
        Rule("label-known", "label", "set", " or ".join(LABELS), LABELS),
        Rule("patient-known", "patient_fault", "empty", "a patient_id, or a file name that holds one"),
    ]


def relation_rules() -> list[Rule]:
    """Rules on a file among others: of its batch and of the accepted batches."""
    return [
        Rule("one-label", "other_label", "empty", "the same pixels have one label"),
        Rule("no-duplicate", "duplicate_of", "empty", "each film once"),
        Rule("one-split", "other_split", "empty", "a patient is in one split"),
    ]


def _between(name: str, column: str, unit: str, low: float | None, high: float | None) -> Rule:
    ends = [
        f"at least {low:g}" if low is not None else "",
        f"at most {high:.15g}" if high is not None else "",
    ]
    return Rule(name, column, "between", f"{', '.join(filter(None, ends))} {unit}", low=low, high=high)
