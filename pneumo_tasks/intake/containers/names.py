"""Names: one layout rule for what a folder, a zip or a tar holds, whoever packed it.

Pure functions over relative names: the same batch has the same names whatever container it came in.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.settings import LABELS

MANIFEST = "images.csv"
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
_HALVES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}
_PART = re.compile(rf"({'|'.join(_HALVES)})([-_ ]?(set|data|split|images|films))?", re.IGNORECASE)


@dataclass(frozen=True)
class Tree:
    """``files``: each name as the batch shows it, and its place in the container's list; no images.csv.

    ``twice`` are the shown names whose true name several files have. ``manifest`` is the place of
    images.csv, None where there is none; ``root`` are the folders around everything.
    """

    files: dict[str, int]
    twice: frozenset[str]
    manifest: int | None
    root: str = ""


def arrange(names: Sequence[str], where: str) -> Tree:
    """The names below the root folders that they share, in one Unicode form, litter left out.

    A name that another file has in that form is shown with its number behind it. Raises BadBatch
    where there are two manifests.
    """
    kept = [(at, shown) for at, shown in enumerate(map(plain, names)) if not is_litter(shown)]
    depth = _shared_depth([shown for _, shown in kept if not _escapes(shown)])
    below = [(at, shown if _escapes(shown) else "/".join(shown.split("/")[depth:])) for at, shown in kept]
    manifests = [at for at, name in below if name.casefold() == MANIFEST]
    if len(manifests) > 1:
        found = ", ".join(sorted(one_form(names[at]) for at in manifests))
        raise BadBatch("two manifests in one batch", where=where, found=found, do="Keep one images.csv.")
    films = [(at, name) for at, name in below if at not in manifests]
    count = Counter(name for _, name in films)
    files: dict[str, int] = {}
    number: Counter[str] = Counter()
    twice: set[str] = set()
    for at, name in films:
        shown = name
        while shown in files:
            number[name] += 1
            shown = f"{name} (again, {number[name]})"
        files[shown] = at
        if count[name] > 1:
            twice.add(shown)
    root = next(("/".join(shown.split("/")[:depth]) for _, shown in kept if not _escapes(shown)), "")
    return Tree(files, frozenset(twice), manifests[0] if manifests else None, root)


def refuse_other_halves(names: Iterable[str], split: str, where: str) -> None:
    """Raise BadBatch where a folder at any depth names another split than the one asked for.

    So the public data set in one archive cannot put its test films into training.
    """
    _refuse({half for name in names for half in halves_of(name)}, split, "folders", where)


def refuse_other_parts(words: Iterable[str], split: str, where: str) -> None:
    """The same for what a column of images.csv says of its films."""
    _refuse({half for word in words if (half := half_of(word))}, split, "rows", where)


def _refuse(found: set[str], split: str, what: str, where: str) -> None:
    if found - {split}:
        raise BadBatch(
            "the batch holds a division into train, test or validation",
            where=where,
            found=f"{what} of {', '.join(sorted(found))}; asked for split {split}",
            do="Upload each part as a batch of its own, with --split train or --split test.",
        )


def halves_of(name: str) -> set[str]:
    """Which of train, test and val the folders of a relative name are called after; of litter none."""
    shown = plain(name)
    folders = [] if is_litter(shown) else shown.split("/")[:-1]
    return {half for folder in folders if (half := half_of(folder))}


def half_of(word: str) -> str | None:
    """train, test or val, where a folder or a cell is called after one of them: Training, test_set, VAL."""
    found = _PART.fullmatch(word.strip())
    return _HALVES[found[1].casefold()] if found else None


def is_litter(name: str) -> bool:
    """What file managers and editors leave behind: hidden files and folders, and a few by name."""
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.casefold() in _LITTER
        for part in name.split("/")
    )


def one_form(name: str) -> str:
    """A name as it is compared: NFC, and U+FFFD for each byte that is no UTF-8; never stripped."""
    try:
        text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        text = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


def plain(name: str) -> str:
    """Slashes as on every system, no leading ``./``, one Unicode form."""
    shown = one_form(name).replace("\\", "/")
    while shown.startswith("./"):
        shown = shown[2:].lstrip("/")
    return shown


def folder_of(name: str) -> str:
    """The name of the folder that a file is in: its label, in labelled folders."""
    return name.rsplit("/", 2)[-2] if "/" in name else ""


def match(paths: Sequence[str], files: Iterable[str], root: str = "") -> list[str]:
    """Each path of a manifest as the file that it means.

    That is the file of this name; the one without the ``root``, or a part of it, where the paths were
    written down outside of it; or the only one whose suffix is of another case.
    """
    there = set(files)
    paths = [_below_root(path, there, root) for path in paths]
    spelled: dict[str, list[str]] = {}
    for file in there:
        spelled.setdefault(_lower_suffix(file), []).append(file)
    found = []
    for path in paths:
        others = spelled.get(_lower_suffix(path), [])
        found.append(others[0] if path not in there and len(others) == 1 else path)
    return found


def _below_root(path: str, there: set[str], root: str) -> str:
    folders = root.split("/") if root else []
    for at in range(len(folders)):
        prefix = "/".join(folders[at:]) + "/"
        if path not in there and path.startswith(prefix) and path.removeprefix(prefix) in there:
            return path.removeprefix(prefix)
    return path


def _lower_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}{dot}{suffix.lower()}" if dot and "/" not in suffix else name


def _escapes(name: str) -> bool:
    return name.startswith("/") or name[1:3] == ":/" or ".." in name.split("/")


def _shared_depth(names: list[str]) -> int:
    """How many folders lie around everything; one that is a label stays, unless images.csv is in it."""
    folders = [name.split("/")[:-1] for name in names]
    depth = 0
    while folders and all(len(parts) > depth for parts in folders):
        (first, *others) = {parts[depth] for parts in folders}
        if (
            others
            or (first.upper() in LABELS and not _is_manifest_at(names, depth + 1))
            or first in ("", ".")
        ):
            break
        depth += 1
    return depth


def _is_manifest_at(names: list[str], depth: int) -> bool:
    return any("/".join(name.split("/")[depth:]).casefold() == MANIFEST for name in names)
