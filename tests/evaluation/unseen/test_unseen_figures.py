import pandas as pd

from pneumo_tasks.evaluation.unseen.unseen_figures import unseen_figures
from pneumo_tasks.evaluation.unseen.unseen_table import COLUMNS


def table(*films: tuple[str, str, str, float | None]) -> pd.DataFrame:
    """Films as (name, patient, label, probability); without a probability they were left out."""
    rows = [
        (name, patient, label, "2026-01-05", "", "b1", answer is None, answer, "films", "2026-01-06")
        for name, patient, label, answer in films
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def accepted(*films: tuple[str, str, str], batch_id: str = "b1") -> pd.DataFrame:
    rows = [(name, patient, label, batch_id) for name, patient, label in films]
    return pd.DataFrame(rows, columns=["sha256", "patient", "label", "batch_id"])


FILMS = table(("1", "p", "PNEUMONIA", 0.9), ("2", "q", "NORMAL", 0.2), ("3", "r", "NORMAL", None))
TODAY = accepted(("1", "p", "PNEUMONIA"), ("2", "q", "NORMAL"), ("3", "r", "NORMAL"))


def test_films_that_training_had_seen_are_left_out_and_counted() -> None:
    found = unseen_figures(FILMS, TODAY, 0.5)
    assert (found.films, found.left_out, found.withdrawn, found.corrected) == (2, 1, 0, 0)
    assert (found.recall.value, found.specificity.value) == (1.0, 1.0)


def test_a_withdrawn_film_leaves_the_figures_and_its_score_stays() -> None:
    found = unseen_figures(FILMS, TODAY[TODAY["sha256"] != "1"], 0.5)
    assert (found.films, found.withdrawn) == (1, 1)
    assert found.recall.value is None
    assert len(FILMS) == 3


def test_a_corrected_label_moves_the_figures_and_history_stays() -> None:
    corrected = accepted(("1", "p", "NORMAL"), ("2", "q", "NORMAL"), batch_id="b1-r2")
    found = unseen_figures(FILMS, corrected, 0.5)
    assert (found.corrected, found.recall.value, found.specificity.value) == (1, None, 0.5)
    assert list(FILMS["label"]) == ["PNEUMONIA", "NORMAL", "NORMAL"]


def test_films_of_one_patient_count_as_one() -> None:
    many = table(*((str(at), "p", "PNEUMONIA", 0.9 if at else 0.1) for at in range(10)))
    found = unseen_figures(many, accepted(*((str(at), "p", "PNEUMONIA") for at in range(10))), 0.5)
    assert (found.recall.value, found.recall.patients) == (0.9, 1)


def test_without_any_film_there_is_no_figure() -> None:
    found = unseen_figures(table(), TODAY, 0.5)
    assert (found.films, found.recall.value, found.since) == (0, None, None)
