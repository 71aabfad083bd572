"""``pneumo doctor --upgrade``: what a bucket of an earlier release lacks, and what is wrong in it."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pneumo_tasks.commands.doctor import DoctorLine
from pneumo_tasks.dataset.snapshots import former_homes, patients_in_two_splits
from pneumo_tasks.errors import CorruptArtefact, ObjectMissing, PneumoError
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.catalogue import open_catalogue, read_catalogue, uncatalogued
from pneumo_tasks.intake.records.register import found_register, read_register
from pneumo_tasks.promotion.runs.index import enter_missing, missing_entries
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore

_THREADS = 16
_NAMED = 5


def examine_bucket(settings: Settings, store: ObjectStore, write: bool) -> Iterator[DoctorLine]:
    """One finding for each thing that this release keeps and an earlier one did not; then what is wrong.

    Nothing is written unless ``write`` is true, and what was judged before is never changed: only the
    catalogue, the register and the index of runs are made from it. Every accepted film is read, and its
    digest compared.
    """
    yield _looked("catalogue of verdicts", partial(_catalogue, store, write))
    yield _looked("register of patients", partial(_register, settings, store, write))
    yield _looked("index of runs", partial(_runs, store, write))
    yield _looked("patients in two splits", partial(_two_splits, settings, store))
    yield _looked("accepted films", partial(_films, settings, store))


def _looked(name: str, look: Callable[[str], DoctorLine]) -> DoctorLine:
    """What cannot be looked at is not in order, and is no reason not to look at the rest."""
    try:
        return look(name)
    except PneumoError as error:
        return DoctorLine(name, False, str(error))


def _catalogue(store: ObjectStore, write: bool, name: str) -> DoctorLine:
    found = read_catalogue(store)
    if found.complete:
        return DoctorLine(name, True, f"{found.head} verdicts")
    if write:
        return DoctorLine(name, True, f"made, {open_catalogue(store).head} verdicts")
    waiting = len(uncatalogued(store, found))
    return DoctorLine(name, False, f"{waiting} verdicts are in no catalogue: add --write")


def _register(settings: Settings, store: ObjectStore, write: bool, name: str) -> DoctorLine:
    register = read_register(store)
    if register and register.segments:
        return DoctorLine(name, True, f"{len(register.homes)} patients in {register.segments} parts")
    former = former_homes(store, settings.patient_site)
    if not former:
        return DoctorLine(name, True, "no patient yet: the first assembly begins it")
    if write:
        register = found_register(settings, store, lambda: former)
        return DoctorLine(name, True, f"made, {len(register.homes)} patients where the snapshots have them")
    return DoctorLine(name, False, f"{len(former)} patients of snapshots are in no register: add --write")


def _runs(store: ObjectStore, write: bool, name: str) -> DoctorLine:
    missing = missing_entries(store)
    if not missing:
        return DoctorLine(name, True, "whole")
    if write:
        return DoctorLine(name, True, f"{enter_missing(store)} of {len(missing)} runs entered")
    return DoctorLine(name, False, f"{len(missing)} runs are in no index: add --write")


def _two_splits(settings: Settings, store: ObjectStore, name: str) -> DoctorLine:
    """A model that was trained on a test film is found at its next evaluation; the past stays as it is."""
    moved = patients_in_two_splits(store, settings.patient_site)
    named = "; ".join(f"{patient}: {', '.join(places)}" for patient, places in list(moved.items())[:_NAMED])
    if not moved:
        return DoctorLine(name, True, "none in any snapshot")
    seen = (
        f"{len(moved)} patients changed their split between snapshots ({named}). The newest snapshot counts "
        "from now on; models of the others are compared on films that they have not seen"
    )
    return DoctorLine(name, False, seen)


def _films(settings: Settings, store: ObjectStore, name: str) -> DoctorLine:
    if not read_catalogue(store).complete:
        return DoctorLine(name, False, "not read: they are known with the catalogue, add --write")
    films = accepted_images(store, settings.patient_site)
    pairs = list(zip(films["key"], films["sha256"], films["batch_id"], strict=True))
    with ThreadPoolExecutor(_THREADS) as pool:
        faults = list(pool.map(partial(_fault, store), pairs))
    wrong = Counter(f"{batch}: {fault}" for (_, _, batch), fault in zip(pairs, faults, strict=True) if fault)
    if not wrong:
        return DoctorLine(name, True, f"{len(pairs)} films are what was accepted")
    named = "; ".join(f"{what} {number}" for what, number in wrong.most_common(_NAMED))
    seen = f"{wrong.total()} of {len(pairs)} films are not what was accepted ({named}). "
    return DoctorLine(name, False, seen + "Send the batch again, and withdraw this one")


def _fault(store: ObjectStore, film: tuple[str, str, str]) -> str:
    key, digest, _ = film
    try:
        store.read_verified(key, digest)
    except ObjectMissing:
        return "missing"
    except CorruptArtefact:
        return "overwritten"
    return ""
