"""Recipes: every way of training that one setting can select."""

import dataclasses
from collections.abc import Mapping

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.recipe import EVERYTHING, FRAME, CrossFitting, Recipe, Stage

PHANTOM_RECIPE = "vgg16-standard-frame-small"  # what `make demo` chooses for what it draws, and nobody else

_VGG_HEAD = Stage(("block5_pool",), epochs=20, rate=1e-4)
_INCEPTION_HEAD = Stage(("mixed10",), epochs=20, rate=1e-4)
_ALL = Stage((FRAME,), epochs=20, rate=1e-4, trainable=EVERYTHING)

_CROSS_FITTED = CrossFitting(("pooled",))

_STANDARD_FRAME = Recipe(
    "vgg16-standard-frame",
    "Lungs in one frame, beside the film with and without its rim; a linear head, cross-fitted",
    "vgg16",
    150,
    _CROSS_FITTED,
    frame="combined",
    head_kind="linear",
    augmentation="crops",
    variants=1,
)

_VARIETY = dataclasses.replace(
    _STANDARD_FRAME,
    name="vgg16-standard-frame-variety",
    summary="vgg16-standard-frame, four copies of the whole film: framing, exposure, texture drawn",
    frame="varied",
    augmentation="variety",
    variants=4,
)

_BLOCK5 = Stage(
    ("block4_pool",),
    epochs=4,
    rate=5e-5,
    trainable=("block5_",),
    decay="cosine to 0",
    optimizer="AdamW",
    smoothing=0.05,
    keeps="last",
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _STANDARD_FRAME,
        _VARIETY,
        dataclasses.replace(
            _VARIETY,
            name="vgg16-head-and-block5",
            summary="The former; then block5 on the same copies; exported is the better, or the mean of both",
            fine_tuning=dataclasses.replace(_BLOCK5, starts="backbone", a_film=(4, 1)),
        ),
        dataclasses.replace(
            _STANDARD_FRAME,
            name="vgg16-variety",
            summary="vgg16-standard-frame-variety without the aligned view: two passes a film at serving",
            frame="unaligned",
            augmentation="variety",
            variants=4,
        ),
        Recipe(
            "vgg16-variety-block5",
            "block5 from the backbone's own weights, on the views and copies of vgg16-standard-frame-variety",
            "vgg16",
            150,
            _BLOCK5,
            frame="varied",
            head_kind="mean",
            augmentation="variety",
            variants=4,
        ),
        dataclasses.replace(
            _STANDARD_FRAME,
            name=PHANTOM_RECIPE,
            summary="vgg16-standard-frame at half the side: for the phantoms of `make demo`, not for X-rays",
            image_size=75,
            # So few films make steep heads, which magnify what two batches make of one alignment.
            head=dataclasses.replace(_CROSS_FITTED, inverse_penalty=0.0003),
        ),
        Recipe(
            "vgg16-block5",
            "The article's head on VGG16, then the whole block5 at a small rate",
            "vgg16",
            150,
            dataclasses.replace(_VGG_HEAD, patience=5),
            Stage(("block4_pool",), epochs=3, rate=1e-5, trainable=("block5_",), decay="cosine", patience=2),
        ),
        Recipe(
            "article-vgg16-head",
            "The article's head on a frozen VGG16, 20 epochs",
            "vgg16",
            150,
            _VGG_HEAD,
        ),
        Recipe(
            "article-vgg16-block5-conv3",
            "The article's best: the former, then block5_conv3 with the head",
            "vgg16",
            150,
            _VGG_HEAD,
            Stage(("block5_conv2",), epochs=10, rate=1e-5, trainable=("block5_conv3",)),
        ),
        Recipe(
            "article-inceptionv3-head",
            "The article's head on a frozen InceptionV3, 20 epochs",
            "inceptionv3",
            299,
            _INCEPTION_HEAD,
        ),
        Recipe(
            "article-vgg16-all",
            "All of VGG16 trained at once: what the article warns against, kept to compare",
            "vgg16",
            150,
            _ALL,
        ),
        Recipe(
            "article-inceptionv3-all",
            "All of InceptionV3 trained at once: what the article warns against, kept to compare",
            "inceptionv3",
            299,
            _ALL,
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


def chosen_recipe(settings: Settings) -> Recipe:
    """The recipe of the settings, with the epochs and the augmentation that they ask for."""
    recipe = find_recipe(settings.recipe)
    changes: dict[str, object] = {"head": recipe.head.shortened(settings.head_epochs)}
    if recipe.fine_tuning is not None:
        changes["fine_tuning"] = recipe.fine_tuning.shortened(settings.fine_tune_epochs)
    if settings.augmentation is not None:
        changes["augmentation"] = settings.augmentation
        changes["variants"] = 0 if settings.augmentation == "none" else max(1, recipe.variants)
    if settings.variants is not None:
        changes["variants"] = settings.variants
    chosen = dataclasses.replace(recipe, **changes)  # type: ignore[arg-type]
    if (chosen.variants > 0) == (chosen.augmentation == "none"):
        raise BadConfiguration(
            "augmentation and variants contradict each other",
            found=f"augmentation {chosen.augmentation}, {chosen.variants} variants",
            do="Set PNEUMO_AUGMENTATION to a kind and PNEUMO_VARIANTS to 1 or more, or neither.",
        )
    return chosen


def check_request(settings: Settings, params: Mapping[str, object]) -> None:
    """Refuse (BadConfiguration) what the params of a run ask for and no run can do, before one starts."""
    from pneumo_tasks.training.augmentation import (
        find_kind,  # pandas, which no DAG file should import
    )

    recipe = chosen_recipe(settings)
    if recipe.augmentation != "none":
        find_kind(recipe.augmentation)
    if params.get("head_epochs") is not None and not recipe.head.takes_epochs:
        raise BadConfiguration(
            f"head_epochs {params['head_epochs']}: the recipe {recipe.name} solves its head, without epochs",
            do="Leave head_epochs empty, or choose another recipe.",
        )
    if params.get("fine_tune_epochs") is not None and recipe.fine_tuning is None:
        raise BadConfiguration(
            f"fine_tune_epochs {params['fine_tune_epochs']}: the recipe {recipe.name} fine-tunes nothing",
            do="Leave fine_tune_epochs empty, or choose another recipe.",
        )
