import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadData, CorruptArtefact
from pneumo_tasks.monitoring.outcomes import Import, Outcome, import_outcomes, parse_outcomes, read_imports
from pneumo_tasks.monitoring.prospective import Promise, Reference, prospective
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

REFERENCE = Reference("v1", 0.5, recall=0.97, specificity=0.90)
PROMISE = Promise(0.01, 0.03, 1 / 1040)


def rows(*given: tuple[str, float, str], version: str = "v1", site: str = "") -> list[Outcome]:
    return [
        Outcome(version=version, study=study, probability=probability, diagnosis=diagnosis, site=site)
        for study, probability, diagnosis in given
    ]


def imported(*parts: list[Outcome]) -> list[Import]:
    """One import a week."""
    return [
        Import(
            seq=at,
            arrived_at=f"2026-01-{5 + 7 * at % 25:02d}T08:00:00+00:00",
            by="ada",
            sha256="",
            rows=tuple(part),
        )
        for at, part in enumerate(parts, start=1)
    ]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_table_is_read_with_any_line_ends(ends: str) -> None:
    lines = ["Version,study,probability,diagnosis", "v1,s1,0.9,pneumonia", ",,,", "v1,s2,.1,"]
    found = parse_outcomes(ends.join(lines).encode(), "file")
    assert found == rows(("s1", 0.9, "PNEUMONIA"), ("s2", 0.1, ""))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no column 'version'"),
        (b"version,study\nv,s\n", "no column 'probability'"),
        (b"version,study,probability\n", "no outcome"),
        (b"version,study,probability\nv,secret name,1.5\n", "line 2, column probability"),
        (b"version,study,probability\nv,secret name,nan\n", "line 2, column probability"),
        (b"version,study,probability\n,secret name,.5\n", "line 2, column version"),
        (b"version,study,probability,diagnosis\nv,secret name,.5,flu\n", "line 2, column diagnosis"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_by_its_place_and_never_by_its_content(data: bytes, words: str) -> None:
    with pytest.raises(BadData, match=words) as error:
        parse_outcomes(data, "file")
    assert "secret" not in str(error.value)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_ours(data: bytes) -> None:
    with contextlib.suppress(BadData):
        parse_outcomes(b"version,study,probability\n" + data, "file")


def test_imports_are_numbered_written_once_and_not_repeated(store: ObjectStore) -> None:
    first, second = rows(("s1", 0.9, "")), rows(("s1", 0.9, "PNEUMONIA"))
    assert [import_outcomes(store, part, "ada").seq for part in (first, second, first)] == [1, 2, 1]
    assert [list(one.rows) for one in read_imports(store)] == [first, second]


def test_an_import_that_was_changed_or_removed_is_found(store: ObjectStore) -> None:
    for study in ("s1", "s2"):
        import_outcomes(store, rows((study, 0.9, "PNEUMONIA")), "ada")
    body = store.read_json(layout.outcomes(1))
    store.put_json(layout.outcomes(1), {**body, "rows": [{**body["rows"][0], "diagnosis": "NORMAL"}]})
    with pytest.raises(CorruptArtefact, match="was changed"):
        read_imports(store)
    store.delete(layout.outcomes(1))
    with pytest.raises(CorruptArtefact, match="is missing"):
        read_imports(store)


def test_a_late_label_counts_once_it_is_known_and_a_correction_moves_the_figures() -> None:
    scored = rows(("s1", 0.9, ""), ("s2", 0.2, ""))
    labelled = rows(("s1", 0.9, "PNEUMONIA"), ("s2", 0.2, "NORMAL"))
    corrected = rows(("s2", 0.2, "PNEUMONIA"))
    before = prospective(imported(scored), REFERENCE, PROMISE)
    assert (before.studies, before.unlabelled, before.recall.value) == (2, 2, None)
    after = prospective(imported(scored, labelled), REFERENCE, PROMISE)
    assert (after.unlabelled, after.recall.value, after.specificity.value) == (0, 1.0, 1.0)
    now = prospective(imported(scored, labelled, corrected), REFERENCE, PROMISE)
    assert (now.recall.value, now.recall.patients, now.specificity.patients) == (0.5, 2, 0)
    assert now.evidence == after.evidence


def test_films_of_one_patient_count_as_one_patient() -> None:
    films = [
        Outcome(
            version="v1", study=f"s{at}", patient="p", probability=0.9 if at else 0.1, diagnosis="PNEUMONIA"
        )
        for at in range(10)
    ]
    found = prospective(imported(films), REFERENCE, PROMISE)
    assert (found.recall.value, found.recall.patients) == (0.9, 1)


def test_outcomes_of_another_version_say_nothing_of_this_one() -> None:
    found = prospective(imported(rows(("s1", 0.1, "PNEUMONIA"), version="v0")), REFERENCE, PROMISE)
    assert (found.studies, found.weeks) == (0, 0)


def week(number: int, missed: int, ill: int = 60, site: str = "A") -> list[Outcome]:
    return rows(
        *((f"{number}-{site}-{at}", 0.1 if at < missed else 0.9, "PNEUMONIA") for at in range(ill)), site=site
    )


def test_a_loss_at_one_site_opens_a_review_that_names_it() -> None:
    quiet = [week(at, 1) + week(at, 0, 15, "B") for at in range(10)]
    found = prospective(imported(*quiet), REFERENCE, PROMISE)
    assert not found.alarm
    loss = [week(at, 1) + week(at, 5, 15, "B") for at in range(10, 16)]
    found = prospective(imported(*quiet, *loss), REFERENCE, PROMISE)
    assert found.alarm
    assert found.loudest[0] == "recall, site B"
    assert found.first_alarm is not None
