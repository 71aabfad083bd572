"""Which way a recipe's head is trained in."""

from pneumo_tasks.training.fitting.cross_fitted_head import CrossFittedHead
from pneumo_tasks.training.fitting.gradient_head import GradientHead
from pneumo_tasks.training.fitting.head_strategy import HeadStrategy
from pneumo_tasks.training.recipe import CrossFitting, Recipe, Stage


def strategy_of(recipe: Recipe) -> HeadStrategy:
    """The strategy that the kind of the recipe's head names."""
    match recipe.head:
        case Stage():
            return GradientHead(recipe.head)
        case CrossFitting():
            return CrossFittedHead(recipe.head)
