"""Framing: the views that a recipe's frame consists of, with all that they need from the bucket."""

from collections.abc import Callable

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.framing.frames import SQUASH, View
from pneumo_tasks.training.framing.standard_frame import UNALIGNED, combined, standard, varied
from pneumo_tasks.training.recipe import Recipe

FRAMES: dict[str, Callable[[Settings, ObjectStore, str], tuple[View, ...]]] = {
    "squash": lambda _settings, _store, _snapshot_id: (SQUASH,),
    "standard": standard,
    "combined": combined,
    "varied": varied,
    "unaligned": lambda _settings, _store, _snapshot_id: UNALIGNED,
}


def resolve_views(
    settings: Settings, store: ObjectStore, recipe: Recipe, snapshot_id: str
) -> tuple[View, ...]:
    """The views of the recipe's frame, with all they need; BadConfiguration for an unknown frame."""
    if recipe.frame not in FRAMES:
        raise BadConfiguration(f"{recipe.frame!r} is not a frame", do=f"One of: {', '.join(FRAMES)}.")
    return FRAMES[recipe.frame](settings, store, snapshot_id)
