"""Identifiers from outside, as one segment of a key: which are allowed, and how a run id becomes one."""

import re

from pneumo_tasks.errors import BadConfiguration

COMPARED = "compare."

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_LONGEST = 200
_ODD = re.compile(r"[^A-Za-z0-9._-]|(?<=\.)\.|^[._-]")
_ESCAPED = re.compile(r"~([0-9a-f]{2})")


def identifier(value: str, kind: str) -> str:
    """Return ``value`` if it is safe as one segment of a key.

    Raises BadConfiguration for anything but 1-200 letters, digits, dots, dashes and underscores
    that starts with a letter or a digit.
    """
    if not is_identifier(value):
        raise BadConfiguration(
            f"{value!r} is not a {kind}",
            found="allowed: letters, digits, '.', '_', '-'; at most 200 characters",
            do=f"Use another {kind}.",
        )
    return value


def is_identifier(value: str) -> bool:
    """Whether ``value`` can be an id of ours; a folder of another name was ordered by nobody."""
    return _IDENTIFIER.fullmatch(value) is not None and ".." not in value


def run_key(run_id: str) -> str:
    """The segment of a key that belongs to this run id and to no other; ``run_of`` turns it back.

    Letters, digits, dots, dashes and underscores stay; every other byte, a leading sign and a second
    dot become ``~`` and two hex digits. BadConfiguration for an id that is empty or too long for a key.
    """
    key = _ODD.sub(lambda odd: "".join(f"~{byte:02x}" for byte in odd[0].encode()), run_id)
    if not 1 <= len(key) <= _LONGEST:
        raise BadConfiguration(
            f"{run_id[:80]!r} is not a run id",
            found=f"{len(key)} letters as a key, allowed are 1 to {_LONGEST}",
            do="Use a shorter run id.",
        )
    return key


def run_of(key: str) -> str:
    """The run id that ``key`` was made from; BadConfiguration where no run id leads to it."""
    run_id = re.sub(r"((?:~[0-9a-f]{2})+)", lambda found: _unescaped(found[0]), key)
    if run_key(run_id) != key:
        raise BadConfiguration(f"{key[:80]!r} is the folder of no run", do="Pneumo leaves it alone.")
    return run_id


def is_run_key(name: str) -> bool:
    """Whether a folder below ``runs/`` has the name of a run; any other is not ours."""
    try:
        return bool(run_of(name))
    except BadConfiguration:
        return False


def _unescaped(text: str) -> str:
    return bytes(int(pair, 16) for pair in _ESCAPED.findall(text)).decode(errors="replace")


def former_run_key(run_id: str) -> str:
    """The segment that older releases used, which several run ids may share; for reading alone."""
    return identifier(re.sub(r"[^A-Za-z0-9._-]", "-", run_id), "run id")


def check_run_id(run_id: str) -> str:
    """Return ``run_id`` if a run may have it; BadConfiguration where it is reserved or too long."""
    run_key(run_id)
    if run_id.startswith(COMPARED):
        raise BadConfiguration(
            f"run ids that begin with {COMPARED!r} are reserved",
            found=run_id[:80],
            do="They belong to `pneumo recipes compare`. Use another run id.",
        )
    return run_id
