"""Recipes: every way of training that one setting can select."""

from dataclasses import dataclass
from typing import Literal

from pneumo_tasks.errors import BadConfiguration

BackboneName = Literal["vgg16", "inceptionv3"]
Decay = Literal["constant", "cosine"]

FRAME = "frame"  # the resized grey image itself: training from it runs the whole network


@dataclass(frozen=True)
class Stage:
    """One round of training: from the cached output of layer ``cut`` up to the probability.

    ``trainable`` holds prefixes of layer names; the head is always trained. ``patience`` epochs
    without a better validation end the round; None never does.
    """

    cut: str
    epochs: int
    rate: float
    trainable: tuple[str, ...] = ()
    decay: Decay = "constant"
    patience: int | None = None
    batch: int = 32


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, for how long; ``image_size`` in pixels, images are squashed to a square."""

    name: str
    summary: str
    backbone: BackboneName
    image_size: int
    head: Stage
    fine_tuning: Stage | None = None

    @property
    def cuts(self) -> tuple[str, ...]:
        """The layers whose output is cached: what the recipe trains from, and what comes for free."""
        needed = [stage.cut for stage in (self.head, self.fine_tuning) if stage]
        return tuple(dict.fromkeys(needed + list(FREE_CUTS[self.backbone])))


# One pass yields these at no extra cost, so that the next recipe finds them.
FREE_CUTS: dict[BackboneName, tuple[str, ...]] = {
    "vgg16": ("block4_pool", "block5_pool"),
    "inceptionv3": ("mixed10",),
}

_ARTICLE_HEAD = Stage(cut="block5_pool", epochs=20, rate=1e-4)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "vgg16-block5",
            "The article's head on VGG16, then the whole block5 at a small rate",
            "vgg16",
            150,
            Stage(cut="block5_pool", epochs=20, rate=1e-4, patience=5),
            Stage(cut="block4_pool", epochs=3, rate=1e-5, trainable=("block5_",), decay="cosine", patience=2),
        ),
        Recipe(
            "article-vgg16-head",
            "The article's head on a frozen VGG16, 20 epochs",
            "vgg16",
            150,
            _ARTICLE_HEAD,
        ),
        Recipe(
            "article-vgg16-block5-conv3",
            "The article's best: the former, then block5_conv3 with the head",
            "vgg16",
            150,
            _ARTICLE_HEAD,
            Stage(cut="block4_pool", epochs=10, rate=1e-5, trainable=("block5_conv3",)),
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; BadConfiguration, listing the names, where there is none."""
    try:
        return RECIPES[name]
    except KeyError:
        raise BadConfiguration(
            f"{name!r} is not a recipe", do="Set PNEUMO_RECIPE to one of: " + ", ".join(RECIPES) + "."
        ) from None
