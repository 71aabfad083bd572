"""Names: one layout rule for what a folder, a zip or a tar holds, whoever packed it.

Pure functions over relative names: the same batch has the same names whatever container it came in.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.settings import LABELS

MANIFEST = "images.csv"
_LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_HALVES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}


@dataclass(frozen=True)
class Tree:
    """``files``: each name as the batch shows it, and as its container spells it; without images.csv.

    ``manifest`` is the container's own name of images.csv, None where there is none.
    """

    files: dict[str, str]
    manifest: str | None


def arrange(names: Iterable[str], where: str) -> Tree:
    """The names below the one root that they share, in one Unicode form, litter left out.

    A name that another one already has in that form is shown with its number behind it. Raises BadBatch
    where there are two manifests.
    """
    plain = [(_plain(name), name) for name in names]
    kept = [(shown, name) for shown, name in plain if not is_litter(shown)]
    depth = _shared_depth([shown for shown, _ in kept])
    files: dict[str, str] = {}
    manifests: list[str] = []
    seen: Counter[str] = Counter()
    for shown, name in kept:
        below = "/".join(shown.split("/")[depth:])
        if below.casefold() == MANIFEST:
            manifests.append(name)
            continue
        seen[below] += 1
        files[below if seen[below] == 1 else f"{below} (again, {seen[below] - 1})"] = name
    if len(manifests) > 1:
        raise BadBatch(
            "two manifests in one batch", where=where, found=", ".join(manifests), do="Keep one images.csv."
        )
    return Tree(files, manifests[0] if manifests else None)


def refuse_other_halves(names: Iterable[str], split: str, where: str) -> None:
    """Raise BadBatch where a folder at any depth names another split than the one asked for.

    So the public data set in one archive cannot put its test films into training.
    """
    found = {half for name in names for half in halves_of(name)}
    if found - {split}:
        raise BadBatch(
            "the batch holds a division into train, test or validation",
            where=where,
            found=f"folders of {', '.join(sorted(found))}; asked for split {split}",
            do="Upload each part as a batch of its own, with --split train or --split test.",
        )


def halves_of(name: str) -> set[str]:
    """Which of train, test and val the folders of a relative name are called after."""
    folders = _plain(name).split("/")[:-1]
    return {_HALVES[folder.casefold()] for folder in folders if folder.casefold() in _HALVES}


def is_litter(name: str) -> bool:
    """What file managers and editors leave behind: hidden files and folders, and a few by name."""
    return any(
        (part.startswith(".") and part not in (".", "..")) or part in _LITTER for part in name.split("/")
    )


def one_form(name: str) -> str:
    """A name as it is compared: NFC, and U+FFFD for each byte that is no UTF-8; never stripped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


def _plain(name: str) -> str:
    """Slashes as on every system, no leading ``./``."""
    shown = one_form(name).replace("\\", "/")
    while shown.startswith("./"):
        shown = shown[2:].lstrip("/")
    return shown


def _shared_depth(names: list[str]) -> int:
    """How many folders lie around everything; a folder that is a label or a half says something itself."""
    folders = [name.split("/")[:-1] for name in names]
    depth = 0
    while folders and all(len(parts) > depth for parts in folders):
        (first, *others) = {parts[depth] for parts in folders}
        meant = first.upper() in LABELS or first.casefold() in _HALVES
        if others or meant or first in ("", "..", "."):
            break
        depth += 1
    return depth
