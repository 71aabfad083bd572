import numpy as np
import pytest

from pneumo_tasks.errors import BadData, CorruptArtefact
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.framing import template
from pneumo_tasks.training.framing.template import METHOD, find_template, fit_template, read_template
from tests.training.aligned import chests
from tests.training.conftest import SNAPSHOT, write_snapshot


def test_both_classes_count_the_same_however_many_films_they_have() -> None:
    dark, bright = np.full((224, 224), 20, np.uint8), np.full((224, 224), 220, np.uint8)
    found, _ = fit_template([dark] + [bright] * 9, np.array([False] + [True] * 9), rounds=0)
    np.testing.assert_allclose(found, 120, atol=0.1)


@pytest.mark.slow
def test_aligned_films_have_a_sharper_mean() -> None:
    films, ill = chests()
    (plain, _), (aligned, accepted) = (fit_template(films, ill, rounds) for rounds in (0, 1))
    assert np.abs(np.diff(aligned, axis=0)).mean() > np.abs(np.diff(plain, axis=0)).mean()
    assert accepted > 0.8


def test_a_class_without_films_is_refused() -> None:
    films, ill = chests(2)
    with pytest.raises(BadData, match="both classes"):
        fit_template([film for film, sick in zip(films, ill, strict=True) if sick], ill[ill])


def test_a_bucket_keeps_the_template_it_was_given_first(
    environment: None, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template.fit_template, "__defaults__", (0,))
    write_snapshot(store, images=8)
    first = find_template(Settings.load(), store, SNAPSHOT)
    write_snapshot(store, images=16, snapshot_id="snapshot-2")
    np.testing.assert_array_equal(find_template(Settings.load(), store, "snapshot-2"), first)
    record = store.read_json(layout.template(METHOD, "template.json"))
    assert record["snapshot_id"] == SNAPSHOT
    assert sum(record["films"].values()) == 8

    store.put(layout.template(METHOD, f"{record['sha256']}.npy"), b"something else")
    with pytest.raises(CorruptArtefact):
        read_template(store)
