"""Extractors: everything that a cached feature depends on, besides the image."""

import hashlib
from dataclasses import asdict, dataclass

from pneumo_tasks.storage.object_store import canonical_json
from pneumo_tasks.training.framing.frames import View
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.recipe import FRAME, Recipe

ORIGINAL = ("none", 0)

_ALWAYS_FLOAT32 = (FRAME, "pooled", "block3_gap", "block4_gap", "block5_gap")


@dataclass(frozen=True)
class Pass:
    """One way through the frozen network: what all its outputs share.

    ``variant`` 0 is the film itself (augmentation 'none'). ``precision`` is the Keras dtype policy
    that the backbone computed in.
    """

    backbone: str
    weights_sha256: str
    image_size: int
    frame: str
    frame_sha256: str
    preprocessing: str
    precision: str
    augmentation: str
    variant: int

    def output(self, cut: str) -> "Extractor":
        return Extractor(self, cut)


@dataclass(frozen=True)
class Extractor:
    """One cached output of a pass; its ``id`` is a digest of all that its values depend on."""

    source: Pass
    cut: str

    @property
    def facts(self) -> dict[str, str | int]:
        return {**asdict(self.source), "cut": self.cut}

    @property
    def id(self) -> str:
        return f"{self.cut}-{hashlib.sha256(canonical_json(self.facts)).hexdigest()[:16]}"

    @property
    def dtype(self) -> str:
        """How values lie on disk: as computed. bfloat16 has no name in npy files; float16 holds its
        eight significant bits, and a value beyond its range is refused when it is written."""
        if self.cut in _ALWAYS_FLOAT32 or self.source.precision == "float32":
            return "float32"
        return "float16"


def needed_extractors(
    recipe: Recipe, weights: BackboneWeights, views: tuple[View, ...], precision: str
) -> list[Extractor]:
    """What the stages of the recipe train from, of every view."""
    return [
        pass_of(recipe, weights, view, precision).output(cut) for view in views for cut in recipe.needed_cuts
    ]


def pass_of(recipe: Recipe, weights: BackboneWeights, view: View, precision: str, variant: int = 0) -> Pass:
    """The pass for one view and variant of the recipe; the films themselves are shared by all recipes."""
    kind, number = (recipe.augmentation, variant) if variant else ORIGINAL
    exact = "" if precision == "float32" else ", first convolution in float32"
    return Pass(
        backbone=weights.name,
        weights_sha256=weights.sha256,
        image_size=recipe.image_size,
        frame=view.name,
        frame_sha256=view.sha256,
        preprocessing="grey to 3 channels, keras.applications" + exact,
        precision=precision,
        augmentation=kind,
        variant=number,
    )
