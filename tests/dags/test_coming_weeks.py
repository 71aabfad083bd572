"""The weeks after a promotion, on Airflow: films come without labels, the labels later, then the outcomes."""

from pathlib import Path

import pytest

from pneumo_tasks.intake.labelling import label_batch
from pneumo_tasks.intake.records.batch_list import list_batches
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.local.phantoms import SEED, draw_phantoms, write_phantoms
from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.monitoring.reviews import read_reviews
from pneumo_tasks.promotion.registry.champion import Champion, read_champion
from pneumo_tasks.promotion.report.report import gather
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.dags.stepped import SteppedAirflow, SteppedRun
from tests.intake.films import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAG, WATCH = "pneumonia_retraining", "champion_watch"
FILMS = 20


def ended(airflow: SteppedAirflow, dag_id: str = DAG) -> SteppedRun:
    run = airflow.trigger(dag_id)
    run.go_on()
    assert run.state == "success", (run.states(), run.note)
    return run


def champion_of(store: ObjectStore) -> Champion:
    found = read_champion(store)
    assert found is not None
    return found


def states(store: ObjectStore) -> dict[str, str]:
    return {state.batch_id: state.state for state in list_batches(store)}


@pytest.fixture
def week(tmp_path: Path, settings: Settings, store: ObjectStore, phantoms: None) -> bytes:
    """Films of new patients, sent without labels as ``week-48``; returns the labels that come later."""
    drawn, folder = draw_phantoms(SEED + 1, train_per_label=FILMS // 2, test_per_label=1), tmp_path / "later"
    write_phantoms(folder, drawn)
    files = sorted((folder / "train").rglob("*.jpeg"))
    films = {f"{number}.jpeg": path.read_bytes() for number, path in enumerate(files)}
    table = "path,patient_id\n" + "".join(f"{number}.jpeg,new-{number}\n" for number in range(FILMS))
    write(folder / "week", films | {"images.csv": table.encode()})
    upload_batch(settings, store, folder / "week", "week-48", "train", unlabelled=True, synthetic=True)
    labels = (f"{number}.jpeg,{path.parent.name}\n" for number, path in enumerate(files))
    return ("file,label\n" + "".join(labels)).encode()


def test_films_wait_for_their_labels_judge_the_champion_and_only_then_are_trained_on(
    stepped: SteppedAirflow, settings: Settings, store: ObjectStore, week: bytes
) -> None:
    ended(stepped)
    champion = champion_of(store)
    assert states(store)["week-48"] == "unlabelled"

    assert "nothing new" in ended(stepped).note
    assert list(store.list_objects(layout.UNSEEN)) == []

    label_batch(settings, store, "week-48", week)
    judged = ended(stepped)
    assert states(store)["week-48-l1"] == "accepted"
    beside = {one["role"]: one for one in gather(store, judged.run_id)["beside"]}
    unseen = beside["champion"]["unseen"]
    assert beside["champion"]["version"] == champion.version
    assert (unseen["films"], unseen["patients"], unseen["batches"]) == (FILMS, FILMS, 1)
    assert (unseen["left_out"], unseen["recall"]["patients"]) == (0, FILMS // 2)
    begun = [one["task_id"] for one in sorted(judged.tasks(), key=lambda one: one["start_date"] or "~")]
    assert begun.index("score_unseen") < begun.index("train_head")
    page = stepped.api.get("/pneumo/report", params={"run_id": judged.run_id}).text
    assert "Before anybody trained on them" in page
    assert f"champion {champion.version}: {FILMS} films of {FILMS} patients in 1 batch(es)" in page

    outcomes_show_a_loss(stepped, store)


def outcomes_show_a_loss(stepped: SteppedAirflow, store: ObjectStore) -> None:
    """A person is asked and answers; what was answered is written down, and changes nothing by itself."""
    champion = champion_of(store)
    missed = [
        Outcome(version=champion.version, study=str(number), probability=0.0, diagnosis="PNEUMONIA")
        for number in range(60)
    ]
    import_outcomes(store, missed, "ada")
    watch = stepped.trigger(WATCH)
    watch.go_on()
    assert watch.states()["review_alarm"] == "awaiting_input"
    assert "A review is due: look at recall" in stepped.api.get("/pneumo/watch").text
    watch.answer("review_alarm", "roll back", "the radiologists see it too")
    watch.go_on()
    assert watch.state == "success"
    assert "Trigger the DAG champion_rollback" in watch.note
    (review,) = read_reviews(store, champion.version)
    assert (review.by, review.answer) == ("admin", "roll back")
    assert champion_of(store).version == champion.version
    again = ended(stepped, WATCH)
    assert again.states()["review_alarm"] == "skipped", "an alarm that was answered is not raised again"
