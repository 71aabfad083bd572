import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.dataset.shards import assign_shards, in_groups
from tests.dataset.frames import accepted_frame


def test_a_shard_holds_at_most_the_asked_number_of_images_of_one_batch() -> None:
    frame = accepted_frame([{"batch_id": "a"}] * 5 + [{"batch_id": "b", "file": f"b{n}"} for n in range(3)])
    frame["file"] = [f"{n}.jpeg" for n in range(8)]
    frame["sha256"] = [f"{n:064x}" for n in range(8)]
    shard = assign_shards(frame, 2)
    sizes = frame.groupby(shard).agg(images=("key", "size"), batches=("batch_id", "nunique"))
    assert sizes["images"].sum() == 8
    assert sizes["images"].max() <= 2
    assert set(sizes["batches"]) == {1}


def test_a_new_batch_leaves_the_old_shards_alone() -> None:
    old = accepted_frame([{"sha256": f"{n:064x}"} for n in range(7)])
    new = accepted_frame([{"batch_id": "new", "sha256": f"{n + 100:064x}"} for n in range(3)])
    both = assign_shards(pd.concat([new, old], ignore_index=True), 3)
    assert set(assign_shards(old, 3)) <= set(both)


@given(images=st.integers(2, 60), withdrawn=st.integers(0, 59), limit=st.integers(1, 16))
def test_withdrawing_an_image_leaves_the_others_where_their_features_are(
    images: int, withdrawn: int, limit: int
) -> None:
    frame = accepted_frame([{}] * images)
    before = assign_shards(frame, limit)
    after = assign_shards(frame.drop(index=withdrawn % images), limit)
    neighbours = set(before[before == before[withdrawn % images]].index)
    moved = set(after.index[after != before[after.index]])
    assert before.groupby(before).size().max() <= limit
    if moved:  # the shard and its sibling fit into one now
        assert len(moved | neighbours) <= limit + 1
        assert after[list(moved)].nunique() == 1


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 4883])
def test_however_many_shards_there_are_airflow_maps_no_more_than_it_can(count: int) -> None:
    shards = [f"{number:04}" for number in range(count)]
    groups = in_groups(shards)
    assert sorted(shard for group in groups for shard in group) == shards
    assert len(groups) == min(count, 500)
    assert not groups or max(map(len, groups)) - min(map(len, groups)) <= 1
