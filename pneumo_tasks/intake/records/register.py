"""The register of patients: who is in which split, written down once and never derived again.

``register/register.json`` holds what the first draw began with; ``register/patients/<n>.json`` the patients
that one assembly saw for the first time, in the order of acceptance. Salt, share, folds and the set of
batches change the future alone. A patient whose films are withdrawn stays in the register.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pneumo_tasks import journal
from pneumo_tasks.errors import BadConfiguration, ConditionFailed, CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.sent.patients import RULE
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.numbered import Numbered, read_row, sum_up
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

Split = Literal["train", "test"]
Wish = tuple[str, str]  # a patient and the split that the batch asked for: train, test or auto
FORMER_SALT = "pneumo"  # the public default of the releases that had no register
SEGMENTS = Numbered(
    "the register of patients", layout.registered, partial(layout.sum_of, layout.REGISTER_SUMS)
)


class Home(BaseModel):
    """Where a patient is: the split, and the fold of the training patients (-1 for test patients)."""

    model_config = ConfigDict(frozen=True)

    split: Split
    fold: int


class Founding(BaseModel):
    """register.json: the salt of the draws, the canonical form of ids, whether the site is in the key."""

    model_config = ConfigDict(frozen=True)

    salt: str
    rule: str
    site_in_key: bool
    founded_at: str


class Segment(BaseModel):
    """The patients that one assembly enrolled."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: str
    patients: dict[str, Home]


_SEGMENTS = TypeAdapter(list[Segment])


@dataclass(frozen=True)
class Register:
    """The whole register as it was read; ``segments`` is the number of the last segment."""

    founding: Founding
    homes: Mapping[str, Home]
    segments: int = 0


def draw(patient: str, salt: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the patient, the salt and the purpose, and on nothing else."""
    digest = hashlib.blake2b(f"{purpose}\0{patient}".encode(), key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def enrol(register: Register, wishes: Iterable[Wish], test_share: float, folds: int) -> dict[str, Home]:
    """The homes of the patients that are new, by the first wish of each; pure.

    A wish of ``auto`` is drawn by the keyed hash. Patients of the register keep their home whatever a later
    batch, share or number of folds says.
    """
    new: dict[str, Home] = {}
    salt = register.founding.salt
    for patient, wish in wishes:
        if patient in register.homes or patient in new:
            continue
        if wish == "auto":
            wish = "test" if draw(patient, salt, "test") < test_share else "train"
        fold = int(draw(patient, salt, "fold") * folds) if wish == "train" else -1
        new[patient] = Home(split="test" if wish == "test" else "train", fold=fold)
    return new


def read_register(store: ObjectStore) -> Register | None:
    """The register as it stands, None before the first assembly.

    CorruptArtefact where a segment is missing or moves a patient that an earlier one has.
    """
    try:
        with understood(layout.REGISTER):
            founding = Founding.model_validate(store.read_json(layout.REGISTER))
    except ObjectMissing:
        return None
    with understood(layout.REGISTERED):
        rows = read_row(store, SEGMENTS, layout.REGISTERED, layout.REGISTER_SUMS)
        segments = _SEGMENTS.validate_python(rows)
    homes: dict[str, Home] = {}
    for segment in segments:
        if moved := next((p for p, home in segment.patients.items() if homes.get(p, home) != home), None):
            raise CorruptArtefact(
                "the register has a patient twice", where=layout.registered(segment.seq), found=f"{moved!r}"
            )
        homes.update(segment.patients)
    return Register(founding, homes, len(segments))


def found_register(
    settings: Settings, store: ObjectStore, former: Callable[[], Mapping[str, Home]]
) -> Register:
    """The register, founded with the patients of ``former`` snapshots where nobody is enrolled yet.

    ``former`` is asked for them only then, also where an earlier founding died before they were written.
    A bucket that already has patients keeps the salt that they were drawn with; a new one draws its own,
    so that nobody who only sends films can choose ids that land in the test set. Raises BadConfiguration
    where the settings ask for another form of keys than the register has.
    """
    register = read_register(store)
    homes = {} if register and register.segments else dict(former())
    if register is None:
        salt = settings.split_salt or (FORMER_SALT if homes else secrets.token_hex(16))
        founding = Founding(salt=salt, rule=RULE, site_in_key=settings.patient_site, founded_at=journal.now())
        store.put_once(layout.REGISTER, canonical_json(founding.model_dump()))
        register = read_register(store)
        if register is None:
            raise CorruptArtefact("the register of patients was not kept", where=layout.REGISTER)
    if homes and not register.segments:
        register = _append(store, register, homes)
    founding = register.founding
    if (founding.rule, founding.site_in_key) != (RULE, settings.patient_site):
        raise BadConfiguration(
            "the register of patients was made with other keys",
            where=layout.REGISTER,
            found=f"{founding.rule}, site {founding.site_in_key}; now {RULE}, site {settings.patient_site}",
            do="Set PNEUMO_PATIENT_SITE as it was, or begin a new bucket.",
        )
    return register


def enrol_patients(
    settings: Settings, store: ObjectStore, register: Register, wishes: list[Wish]
) -> Register:
    """Write the homes of new patients, one object an assembly; whoever writes first is right."""
    while new := enrol(register, wishes, settings.test_share, settings.folds):
        register = _append(store, register, new)
    return register


def _append(store: ObjectStore, register: Register, new: dict[str, Home]) -> Register:
    """The register with ``new`` behind it; where somebody else was first, theirs: the caller asks again."""
    segment = Segment(seq=register.segments + 1, at=journal.now(), patients=new)
    body = canonical_json(segment.model_dump(mode="json"))
    try:
        store.put_if_absent(layout.registered(segment.seq), body)
    except ConditionFailed:
        found = read_register(store)
        if found is None or found.segments <= register.segments:
            raise
        return found
    sum_up(store, SEGMENTS, segment.seq)
    return replace(register, homes={**register.homes, **new}, segments=segment.seq)
