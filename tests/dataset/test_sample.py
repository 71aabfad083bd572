import pandas as pd

from pneumo_tasks.dataset.sample import first_of_each

ROWS = pd.DataFrame({"sha256": list("fbdace"), "label": ["N", "P", "P", "N", "P", "P"]})


def test_the_smallest_digests_of_each_group_are_taken_whatever_the_order() -> None:
    expected = ["a", "b", "c", "f"]
    assert list(first_of_each(ROWS, "label", 2)["sha256"]) == expected
    assert list(first_of_each(ROWS[::-1], "label", 2)["sha256"]) == expected


def test_a_row_keeps_its_index_so_that_it_can_be_found_again() -> None:
    found = first_of_each(ROWS, "label", 1)
    assert list(found.index) == [3, 1]
