import pandas as pd
import pytest

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.held_out_scores import read_held_out_scores, write_held_out_scores

SCORES = pd.DataFrame({"sha256": ["a", "b"], "label": ["NORMAL", "PNEUMONIA"], "probability": [0.1, 0.9]})


def test_scores_of_a_run_of_an_older_release_are_read_where_it_left_them(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        read_held_out_scores(store, "run")
    former = layout.run("run", "fine_tune/validation_scores.parquet")
    store.put(former, SCORES.assign(probability=0.5).to_parquet(index=False))
    assert set(read_held_out_scores(store, "run")["probability"]) == {0.5}
    write_held_out_scores(store, "run", SCORES)
    pd.testing.assert_frame_equal(read_held_out_scores(store, "run"), SCORES)
