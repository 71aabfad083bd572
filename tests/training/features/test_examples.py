import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.training.features.examples import Examples, drawn_from_films

FILMS = st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=12)


def examples(films: list[tuple[int, bool]]) -> Examples:
    """Films with so many examples each, some of them ill, in any order."""
    image = np.repeat([f"{number:03d}" for number in range(len(films))], [count for count, _ in films])
    ill = np.repeat([ill for _, ill in films], [count for count, _ in films]).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(image))
    nothing = np.zeros((0, len(image), 2), np.int64)
    return Examples(
        (), nothing, ill[order], np.ones_like(ill), image[order].astype(object), np.zeros(len(ill), np.int64)
    )


@given(
    films=FILMS, seed=st.integers(0, 99), epoch=st.integers(1, 9), a_film=st.tuples(*[st.integers(1, 9)] * 2)
)
def test_an_epoch_takes_as_many_examples_of_a_film_as_its_class_asks_for(
    films: list[tuple[int, bool]], seed: int, epoch: int, a_film: tuple[int, int]
) -> None:
    given = examples(films)
    order = drawn_from_films(given, seed, epoch, a_film)
    assert order.tolist() == drawn_from_films(given, seed, epoch, a_film).tolist()
    taken = given.image[order].tolist()
    for number, (_, ill) in enumerate(films):
        assert taken.count(f"{number:03d}") == a_film[1 if ill else 0]


@given(films=FILMS, seed=st.integers(0, 99))
def test_epochs_take_every_example_of_a_film_before_any_of_them_again(
    films: list[tuple[int, bool]], seed: int
) -> None:
    given = examples(films)
    most = max(count for count, _ in films)
    orders = [drawn_from_films(given, seed, epoch, (1, 1)) for epoch in range(1, most + 1)]
    for number, (count, _) in enumerate(films):
        taken = [int(one) for order in orders for one in order if given.image[one] == f"{number:03d}"]
        assert len(set(taken[:count])) == count


def test_two_epochs_have_two_orders() -> None:
    given = examples([(1, False)] * 12)
    first, second = (drawn_from_films(given, 7, epoch, (1, 1)).tolist() for epoch in (1, 2))
    assert sorted(first) == sorted(second)
    assert first != second
