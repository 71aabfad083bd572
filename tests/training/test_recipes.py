import dataclasses

import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.report.report import _banners
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.model import backbones
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.heads import PROBABILITY
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import EVERYTHING
from pneumo_tasks.training.recipes import PHANTOM_RECIPE, RECIPES, check_request, chosen_recipe, find_recipe

# recipe, stage, what the article says: (at least, at most) trainable parameters
COUNTS = [
    ("article-vgg16-head", 0, 520_000, 530_000),
    ("article-vgg16-block5-conv3", 1, 2_800_000, 2_900_000),
    ("article-vgg16-all", 0, 14_900_000, 15_300_000),
    ("article-inceptionv3-head", 0, 8_300_000, 8_400_000),
    ("vgg16-block5", 1, 7_500_000, 7_700_000),
    ("article-inceptionv3-all", 0, 30_000_000, 30_500_000),
]


@pytest.mark.parametrize(("name", "stage", "least", "most"), COUNTS, ids=[case[0] for case in COUNTS])
def test_a_recipe_trains_as_many_parameters_as_the_article_says(
    name: str, stage: int, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "_randomise", lambda _: None)  # the values do not matter here
    recipe = find_recipe(name)
    weights = BackboneWeights(recipe.backbone, "random", "0" * 64, True, None)
    network = build_network(recipe, weights, (SQUASH,), seed=7)
    network.train_only(recipe.stages[stage].trainable)
    assert least <= network.trainable_parameters() <= most
    part = network.part(recipe.stages[stage].cuts, PROBABILITY)
    assert sum(v.shape.num_elements() for v in part.trainable_variables) == network.trainable_parameters()


def test_every_recipe_of_the_article_is_there_as_it_says() -> None:
    head = RECIPES["article-vgg16-head"]
    assert (head.image_size, head.head.epochs, head.head.rate, head.fine_tuning) == (150, 20, 1e-4, None)
    conv3 = RECIPES["article-vgg16-block5-conv3"]
    assert conv3.head == head.head
    assert conv3.fine_tuning is not None
    assert conv3.fine_tuning.cuts == ("block5_conv2",)
    assert RECIPES["article-inceptionv3-head"].image_size == 299
    assert all(RECIPES[f"article-{net}-all"].head.trainable == EVERYTHING for net in ("vgg16", "inceptionv3"))


def test_settings_change_epochs_and_augmentation_of_a_recipe(environment: None) -> None:
    given = {"recipe": "article-vgg16-head", "head_epochs": 3, "augmentation": "article", "variants": 2}
    recipe = chosen_recipe(Settings.load(given))
    assert (recipe.head.epochs, recipe.augmentation, recipe.variants) == (3, "article", 2)


def test_variants_without_a_kind_are_refused(environment: None) -> None:
    with pytest.raises(BadConfiguration, match="contradict"):
        chosen_recipe(Settings.load({"recipe": "article-vgg16-head", "variants": 2}))


def test_an_unknown_recipe_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadConfiguration, match="vgg16-block5"):
        find_recipe("vgg19")


def test_epochs_that_a_recipe_would_not_train_are_refused(environment: None) -> None:
    solved, head = "vgg16-standard-frame", "article-vgg16-head"
    for recipe, param in ((solved, "head_epochs"), (head, "fine_tune_epochs")):
        with pytest.raises(BadConfiguration, match=param):
            check_request(Settings.load({"recipe": recipe}), {param: 3})
    check_request(Settings.load({"recipe": head}), {"head_epochs": 3, "fine_tune_epochs": None})


def test_the_recipe_of_the_phantoms_is_the_default_one_at_half_the_side_and_the_report_says_so() -> None:
    usual, small = RECIPES[Settings.model_fields["recipe"].default], RECIPES[PHANTOM_RECIPE]
    assert small.image_size * 2 == usual.image_size
    assert small.head.inverse_penalty < usual.head.inverse_penalty
    same = {"name": "", "summary": "", "image_size": 0, "head": usual.head}
    assert dataclasses.replace(small, **same) == dataclasses.replace(usual, **same)
    (banner,) = _banners({"evaluation": {"recipe": PHANTOM_RECIPE}, "summary": None, "decision": None})
    assert "half the usual side" in banner
    assert not _banners({"evaluation": {"recipe": usual.name}, "summary": None, "decision": None})
