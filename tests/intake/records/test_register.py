"""The register of patients: a patient's split is remembered, not derived."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact
from pneumo_tasks.intake.records.register import (
    FORMER_SALT,
    Founding,
    Home,
    Register,
    enrol,
    enrol_patients,
    found_register,
    read_register,
)
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

EMPTY = Register(Founding(salt="salt", rule="r", site_in_key=False, founded_at=""), {})
PATIENTS = [f"patient:{number}" for number in range(8)]

wishes = st.lists(
    st.tuples(st.sampled_from(PATIENTS), st.sampled_from(["train", "test", "auto"])), max_size=12
)
assemblies = st.lists(
    st.tuples(wishes, st.floats(0, 1), st.integers(2, 20), st.text("ab", max_size=3)), max_size=10
)


@given(assemblies)
def test_no_assembly_ever_moves_a_patient(
    history: list[tuple[list[tuple[str, str]], float, int, str]],
) -> None:
    register = EMPTY
    homes: dict[str, Home] = {}
    for asked, share, folds, salt in history:
        founding = register.founding.model_copy(
            update={"salt": salt}
        )  # a salt that somebody changed meanwhile
        new = enrol(Register(founding, register.homes), asked, share, folds)
        register = Register(founding, {**register.homes, **new})
        for patient, home in homes.items():
            assert register.homes[patient] == home
        homes = dict(register.homes)
    assert all((home.split == "test") == (home.fold == -1) for home in homes.values())


def test_the_first_wish_in_the_order_of_acceptance_decides() -> None:
    assert enrol(EMPTY, [("a", "train"), ("a", "test")], 0.5, 5)["a"].split == "train"
    assert enrol(EMPTY, [("a", "test"), ("a", "train")], 0.5, 5)["a"].split == "test"


def test_a_new_bucket_draws_a_salt_that_nobody_can_know(settings: Settings, store: ObjectStore) -> None:
    unset = settings.model_copy(update={"split_salt": ""})
    salt = found_register(unset, store, dict).founding.salt
    assert len(salt) == 32
    assert salt != FORMER_SALT
    assert found_register(unset, store, dict).founding.salt == salt


def test_a_bucket_with_patients_keeps_their_homes_and_its_salt(
    settings: Settings, store: ObjectStore
) -> None:
    former = {"im:7": Home(split="test", fold=-1), "im:8": Home(split="train", fold=3)}
    unset = settings.model_copy(update={"split_salt": ""})
    register = found_register(unset, store, lambda: former)
    assert register.founding.salt == FORMER_SALT
    assert dict(register.homes) == former
    assert found_register(unset, store, dict).homes == register.homes


def test_a_founding_that_died_before_the_former_patients_is_finished_by_the_next_one(
    settings: Settings, store: ObjectStore
) -> None:
    former = {"im:7": Home(split="test", fold=-1)}
    found_register(settings, store, lambda: former)
    store.delete(layout.registered(1))
    assert dict(found_register(settings, store, lambda: former).homes) == former


def test_settings_change_the_future_alone(settings: Settings, store: ObjectStore) -> None:
    first = found_register(settings, store, dict)
    first = enrol_patients(settings, store, first, [(patient, "auto") for patient in PATIENTS])
    other = settings.model_copy(update={"split_salt": "other", "test_share": 1.0, "folds": 2})
    again = enrol_patients(other, store, found_register(other, store, dict), [(p, "auto") for p in PATIENTS])
    assert again.homes == first.homes
    assert again.segments == 1
    grown = enrol_patients(other, store, again, [("patient:new", "auto")])
    assert grown.homes["patient:new"].split == "test"


def test_assemblies_at_the_same_moment_agree_on_every_patient(settings: Settings, store: ObjectStore) -> None:
    register = found_register(settings, store, dict)
    results: list[Register] = []

    def assemble(wish: str) -> None:
        mine = ObjectStore.connect(settings)
        results.append(enrol_patients(settings, mine, register, [(patient, wish) for patient in PATIENTS]))

    threads = [threading.Thread(target=assemble, args=(wish,)) for wish in ("train", "test", "train", "test")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(sorted((p, h.split) for p, h in found.homes.items())) for found in results}) == 1
    assert read_register(store) == results[0]


def test_keys_of_another_form_are_refused(settings: Settings, store: ObjectStore) -> None:
    found_register(settings, store, dict)
    with pytest.raises(BadConfiguration, match="PNEUMO_PATIENT_SITE"):
        found_register(settings.model_copy(update={"patient_site": True}), store, dict)


def test_a_register_that_was_cut_or_changed_is_found(settings: Settings, store: ObjectStore) -> None:
    register = found_register(settings, store, dict)
    register = enrol_patients(settings, store, register, [("a", "train")])
    register = enrol_patients(settings, store, register, [("b", "train")])
    body = store.read_json(layout.registered(2))
    store.put_json(layout.registered(2), {**body, "patients": {"a": {"split": "test", "fold": -1}}})
    with pytest.raises(CorruptArtefact, match="a patient twice"):
        read_register(store)
    store.delete(layout.registered(1))
    with pytest.raises(CorruptArtefact, match="is missing"):
        read_register(store)


def test_a_long_register_costs_no_request_an_assembly(settings: Settings, store: ObjectStore) -> None:
    register = found_register(settings, store, dict)
    for number in range(57):
        register = enrol_patients(settings, store, register, [(f"patient:{number}", "auto")])
    asked: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
    assert read_register(store) == register
    assert len(asked) <= 20
