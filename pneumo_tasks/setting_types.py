"""Kinds of settings that are checked wherever they come from; no message repeats what was given."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from pneumo_tasks.secret_values import url_fault


def _address(value: str) -> str:
    if value and (fault := url_fault(value)):
        raise ValueError(fault)
    return value


def _strong(value: SecretStr) -> SecretStr:
    """Ids are few and known: with a key that can be guessed, every pseudonym can be undone."""
    letters = value.get_secret_value()
    if len(letters) < 16 or len(set(letters)) < 8:
        raise ValueError("a pseudonym key has at least 16 characters, 8 of them different")
    return value


Address = Annotated[str, AfterValidator(_address)]
StrongKey = Annotated[SecretStr, AfterValidator(_strong)]


def may_name_weights(wanted: str, own: str, places: str) -> bool:
    """Whether a run may name these weights: whoever starts one shall not open any file of a worker.

    ``own`` are those of the environment, ``places`` its files, folders and s3:// prefixes, by commas.
    """
    if wanted in ("imagenet", "random", own):
        return True
    allowed = [place.strip() for place in places.split(",") if place.strip()]
    if wanted.startswith("s3://"):
        return any(wanted == place or wanted.startswith(f"{place.rstrip('/')}/") for place in allowed)
    path = Path(wanted).expanduser().resolve()
    return any(path.is_relative_to(Path(place).resolve()) for place in allowed if "://" not in place)
