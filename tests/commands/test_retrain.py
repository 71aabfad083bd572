import pytest

from pneumo_tasks.commands.retrain import parse_params
from pneumo_tasks.errors import BadConfiguration


def test_values_are_read_as_json_where_they_are_json() -> None:
    given = ["min_recall=0.97", "force=true", "seed=3", "class_weights=2:1", "recipe=vgg16-block5"]
    assert parse_params(given) == {
        "min_recall": 0.97,
        "force": True,
        "seed": 3,
        "class_weights": "2:1",
        "recipe": "vgg16-block5",
    }


@pytest.mark.parametrize("pair", ["min_recall", "bucket=other", "=1", "nope=1"])
def test_what_is_not_a_param_is_refused(pair: str) -> None:
    with pytest.raises(BadConfiguration, match="not a param"):
        parse_params([pair])
