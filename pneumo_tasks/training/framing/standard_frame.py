"""The standard frame: the lungs at the same place and of the same size in every film.

How a film is framed tells where it was taken, and where it was taken tells its label: in the public
data set the affine parameters alone predict the label with AUC .88 on the training films, and with
.62 on the test films. Part of the graph, so that whoever has the file cannot forget it.
"""

import dataclasses
from functools import partial
from typing import Any

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.training.framing import alignment
from pneumo_tasks.training.framing.affine_maps import SIDE, Matrix, warp
from pneumo_tasks.training.framing.frames import CORE, SQUASH, View, squash
from pneumo_tasks.training.framing.template import find_template

# No alignment: drawn copies of the whole film have to make the framing worth nothing.
UNALIGNED = (SQUASH, dataclasses.replace(CORE, varied=False))

_VERSION = "ecc, soft edge, rounds, lungs' box, version 2"


def standard_view(template: Matrix, rounds: tuple[int, ...] = alignment.ROUNDS) -> View:
    """The view whose pixels are the lungs' box of the aligned film."""
    facts = {"version": _VERSION, "rounds": rounds, "template": sha256(template.tobytes())}

    def build(image: Any, side: int, repeat: alignment.Repeat = alignment.unrolled) -> Any:
        film = squash(image, SIDE)
        found = alignment.align(film, alignment.target_of(template), rounds, repeat=repeat)
        return warp(film, found.parameters, side)

    looped = partial(build, repeat=alignment.looped)
    return View("standard", sha256(canonical_json(facts)), build, framed=looped)


def standard(settings: Settings, store: ObjectStore, snapshot_id: str) -> tuple[View, ...]:
    """The aligned view alone."""
    return (standard_view(find_template(settings, store, snapshot_id)),)


def combined(settings: Settings, store: ObjectStore, snapshot_id: str) -> tuple[View, ...]:
    """The aligned view; the whole film for what the alignment gets wrong; and its core, blind to the rim.

    Only the core is varied: a crop of it stands for a crop of the film.
    """
    (aligned,) = standard(settings, store, snapshot_id)
    return (dataclasses.replace(aligned, varied=False), dataclasses.replace(SQUASH, varied=False), CORE)


def varied(settings: Settings, store: ObjectStore, snapshot_id: str) -> tuple[View, ...]:
    """The same three views; the whole film is the one that is varied: copies are drawn on it."""
    aligned, *_ = combined(settings, store, snapshot_id)
    return (aligned, *UNALIGNED)
