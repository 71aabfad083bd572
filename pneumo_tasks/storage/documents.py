"""What was read from a bucket and is no document of ours ends in our words, whoever parses it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pneumo_tasks.errors import CorruptArtefact

_SHOWN = 200  # letters of what the parser said


@contextmanager
def understood(where: str) -> Iterator[None]:
    """CorruptArtefact that names the place where a document lacks a field, or holds another kind of value."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN]
        raise CorruptArtefact(
            "not a document of ours", where=where, found=found, do="Restore it from a backup."
        ) from None
