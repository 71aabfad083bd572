"""The row rules: what each file has to be, in the order in which a sender should hear of it."""

from dataclasses import dataclass
from typing import Any, Literal

from pneumo_tasks.settings import LABELS, Settings

FORMATS = ("JPEG", "PNG", "DICOM")
MODES = ("grey", "grey+alpha", "rgb", "rgb+alpha", "palette")

Bound = Literal["empty", "set", "between"]


@dataclass(frozen=True)
class FilmRule:
    """One expectation on one column of the facts; a null cell means the rule does not apply.

    ``kind`` is ``empty`` (the cell must be null), ``set`` (one of ``values``) or ``between``
    (``low`` to ``high``, both included). ``advice`` tells the sender what to do.
    """

    name: str
    column: str
    kind: Bound
    limit: str
    advice: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None


def row_rules(settings: Settings) -> list[FilmRule]:
    """Every rule on a row, in order."""
    return [*file_rules(settings), *film_rules(settings), *relation_rules(settings)]


def file_rules(settings: Settings) -> list[FilmRule]:
    """Rules on a file as a file: it is there, it is an image, it can be decoded."""
    again = "Export the film again and check that it opens in a viewer."
    smaller = "Export the film at its native size."
    shortest, longest = settings.min_image_side, settings.max_image_side
    return [
        _empty("path-inside-batch", "path_fault", "a plain path below the batch", "Rename the file."),
        FilmRule("file-present", "present", "set", "the file was sent", "Send the file too.", (True,)),
        _empty("source-readable", "source_fault", "a plain, intact member of the archive", "Pack it again."),
        _between("bytes", "bytes", "bytes", 1, settings.max_image_bytes, again),
        FilmRule("format", "format", "set", ", ".join(FORMATS), "Send the film itself, not a page.", FORMATS),
        _empty("format-matches-name", "suffix_fault", "the suffix names the content", "Rename the file."),
        _between("pixels", "pixels", "pixels", 1, settings.max_image_pixels, smaller),
        _between("shortest-side", "short_side", "pixels", shortest, None, "Send the film, not its preview."),
        _between("longest-side", "long_side", "pixels", None, longest, smaller),
        FilmRule("colour-model", "mode", "set", "grey, RGB or palette", "Export the film as grey.", MODES),
        _empty("decodable", "decode_error", "every pixel can be decoded", again),
    ]


def film_rules(settings: Settings, labelled: bool = True) -> list[FilmRule]:
    """Rules on what a film shows and what is known of it; the label may come later."""
    rules = [
        _between(
            "not-blank", "grey_deviation", "grey levels", settings.min_grey_deviation, None,
            "The film is empty: check the exposure.",
        ),
        _between(
            "greyscale", "colour", "grey levels of chroma", None, settings.max_colour,
            "This is a photograph or a screenshot: export the film itself.",
        ),
        _between(
            "not-clipped", "clipped_share", "of the pixels", None, settings.max_clipped_share,
            "Most of the film is pure black or white: export it with its window.",
        ),
        _between(
            "not-inverted", "chest_likeness", "correlation with a chest", settings.min_chest_likeness, None,
            "Bones have to be bright: export the film without inversion.",
        ),
        _empty("frontal-view", "view_fault", "a frontal film (AP or PA)", "Leave lateral films out."),
        FilmRule("label-known", "label", "set", " or ".join(LABELS), "Correct the label.", LABELS),
        _empty(
            "patient-known", "patient_fault", "a patient_id, or a file name that holds one",
            "Fill the column patient_id of images.csv.",
        ),
    ]  # fmt: skip
    return [rule for rule in rules if labelled or rule.name != "label-known"]


def relation_rules(settings: Settings) -> list[FilmRule]:
    """Rules on a film among others: of its batch and of the accepted batches."""
    bits = f"at most {settings.near_duplicate_bits} of 256 hash bits apart"
    return [
        _empty(
            "one-label", "other_label", "the same pixels have one label",
            "Let a radiologist decide, and send the film once, with that label.",
        ),
        _empty(
            "not-disputed", "disputed_in", "no copy of a film that is in quarantine for a conflict",
            "Settle the conflict first: resubmit or withdraw the batch that holds the other copy.",
        ),
        _empty("no-duplicate", "duplicate_of", "each film once", "Nothing: the other copy is used."),
        _empty("no-near-duplicate", "near_duplicate_of", f"no film {bits}", "Nothing, if it is one film."),
        _empty(
            "one-split", "other_split", "a patient is in one split",
            "Send the films of this patient to the split where the patient is.",
        ),
    ]  # fmt: skip


def _empty(name: str, column: str, limit: str, advice: str) -> FilmRule:
    return FilmRule(name, column, "empty", limit, advice)


def _between(
    name: str, column: str, unit: str, low: float | None, high: float | None, advice: str
) -> FilmRule:
    ends = [
        f"at least {low:g}" if low is not None else "",
        f"at most {high:.15g}" if high is not None else "",
    ]
    limit = f"{', '.join(filter(None, ends))} {unit}"
    return FilmRule(name, column, "between", limit, advice, low=low, high=high)
