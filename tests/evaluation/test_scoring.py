"""The evaluation reads films as training reads them."""

from itertools import repeat

import pandas as pd
import pytest

from pneumo_tasks.errors import BadData
from pneumo_tasks.evaluation.scoring import read_images
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.films import read_films
from tests.evaluation.story import film


def rows(store: ObjectStore, count: int) -> pd.DataFrame:
    bodies = [film(0.5, 0.5, 70 + number, 80) for number in range(count)]
    for number, body in enumerate(bodies):
        store.put(f"film-{number}", body)
    return pd.DataFrame(
        {"key": [f"film-{number}" for number in range(count)], "sha256": [sha256(body) for body in bodies]}
    )


def test_films_come_in_their_order_and_whole(settings: Settings, store: ObjectStore) -> None:
    read = list(read_images(settings, store, rows(store, 70)))
    assert [film.shape for film in read] == list(zip(range(70, 140), repeat(80)))


def test_the_limits_of_training_are_those_of_the_evaluation(settings: Settings, store: ObjectStore) -> None:
    strict, films = settings.model_copy(update={"max_image_pixels": 1000}), rows(store, 1)
    with pytest.raises(BadData, match="too many pixels") as trained:
        list(read_films(strict, store, films, 1))
    with pytest.raises(BadData, match="too many pixels") as evaluated:
        list(read_images(strict, store, films))
    assert str(trained.value) == str(evaluated.value)


def test_a_film_that_changed_is_no_film_to_judge_on(settings: Settings, store: ObjectStore) -> None:
    films = rows(store, 1)
    store.put("film-0", film(0.4, 0.5, 70, 80))
    with pytest.raises(BadData, match="changed after it was accepted"):
        list(read_images(settings, store, films))
