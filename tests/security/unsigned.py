"""Kinds of objects that no signed document names, each way to attack them, and what their readers answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pneumo_tasks.dataset.seen import read_seen
from pneumo_tasks.dataset.snapshots import assemble_dataset
from pneumo_tasks.errors import CorruptArtefact, PneumoError
from pneumo_tasks.evaluation.looks import measure_exposure
from pneumo_tasks.intake.records.attempts import all_begun
from pneumo_tasks.intake.records.batch_list import list_batches
from pneumo_tasks.monitoring.outcomes import read_imports
from pneumo_tasks.promotion.deciding.steps import past_askings
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.security.matrix import Bucket, _consistent, _flipped, find, restore

ATTACKS = ("changed", "swapped", "deleted", "forged")
SAME = "no other answer"
TEST_SET = "7e57"
Read = Callable[[Settings, ObjectStore], object]


def _verified(settings: Settings, store: ObjectStore) -> object:
    failed = [finding for finding in verify(settings, store) if finding.verdict == "fail"]
    if failed:
        raise CorruptArtefact(failed[0].detail, where=failed[0].subject)
    return None


READERS: dict[str, Read] = {
    "lists": lambda _, store: list_batches(store),
    "seen": lambda _, store: sorted(read_seen(store).patients),
    "exposure": lambda _, store: measure_exposure(store, TEST_SET),
    "attempts": lambda _, store: all_begun(store),
    "budget": lambda _, store: past_askings(store, ""),
    "watch": lambda _, store: read_imports(store),
    "verify": _verified,
    "snapshot": assemble_dataset,  # the only one that writes, so the last
}


def _instead(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        assert old in body, old
        return body.replace(old, new, 1)

    return change


def _renamed(body: bytes) -> bytes:
    """The first patient gets another number."""
    changed = re.sub(rb'"([a-z][^":]*):([0-9])', rb'"\1:9\2', body, count=1)
    assert changed != body
    return changed


@dataclass(frozen=True)
class Kind:
    """``target`` is the object that is attacked, ``older`` another of its kind; both patterns.

    ``keyed``: there are such objects where a key is set.
    """

    name: str
    target: str
    older: str
    change: Callable[[bytes], bytes]
    keyed: bool = False


def kinds(with_key: bool) -> tuple[Kind, ...]:
    return tuple(kind for kind in KINDS if with_key or not kind.keyed)


TRAIN, TEST = (rf"validations/{batch}-1/[0-9a-f]{{64}}/" for batch in ("train", "test"))
FACTS = r"\w+/facts\.parquet"
KINDS = (
    Kind("place of a verdict", "catalogue/1/00000002.json", "catalogue/1/00000001.json",
         _instead(b'"split": "test"', b'"split": "train"')),
    Kind("verdict for readers", f"{TEST}verdict.json", f"{TRAIN}verdict.json",
         _instead(b'"accepted": 12', b'"accepted": 11')),
    Kind("facts of films", TRAIN + FACTS, TEST + FACTS,
         _flipped),
    Kind("withdrawal", r"withdrawals/old-1\.json", "", _instead(b'"old-1"', b'"old-9"')),
    Kind("founding of the register", r"register/register\.json", "", _instead(b'"salt": "', b'"salt": "x')),
    Kind("segment of the register", r"register/patients/00000001\.json", "", _instead(b'"train"', b'"test"')),
    Kind("patients that were seen", r"seen/patients/00000001\.json", "", _renamed),
    Kind("look at a test set", rf"test-sets/{TEST_SET}/looks/b\.candidate\.0+\.json",
         rf"test-sets/{TEST_SET}/looks/a\.candidate\.0+\.json", _instead(b'"b"', b'"c"')),
    Kind("films of a test set", rf"test-sets/{TEST_SET}/films\.txt", "", _instead(b"0", b"1")),
    Kind("asking for a sideways step", r"error-budget/b\.json", r"error-budget/a\.json",
         _instead(b'"NORMAL": 9', b'"NORMAL": 1')),
    Kind("import of outcomes", r"outcomes/00000001\.json", r"outcomes/00000002\.json",
         _instead(b'"NORMAL"', b'"PNEUMONIA"')),
    Kind("a later import", r"outcomes/00000002\.json", r"outcomes/00000001\.json",
         _instead(b'"NORMAL"', b'"PNEUMONIA"')),
    Kind("marker of a decision", r"datasets/[0-9a-f]+/decisions/a", "", _instead(b'"a"', b'"b"')),
    Kind("attempt at a verdict", r"validations-begun/old-1/.+", r"validations-begun/test-1/.+",
         _instead(b"202", b"199")),
    Kind("entry of the tally", r"tally/entries/00000003\.json", r"tally/entries/00000002\.json",
         _instead(b'"seq": 3', b'"seq": 4'), keyed=True),
    Kind("sum of the tally", r"tally/sums/10/00000010\.json", r"tally/sums/10/00000020\.json",
         _instead(b'"seq": 3', b'"seq": 4'), keyed=True),
)  # fmt: skip


def answers(settings: Settings) -> dict[str, str]:
    """What each reader says; an empty text where it refuses."""
    found, store = {}, ObjectStore.connect(settings)
    for name, read in READERS.items():
        try:
            found[name] = re.sub(r"arrived='[^']*'", "", repr(read(settings, store)))
        except PneumoError:
            found[name] = ""
    return found


def attacked(how: str, kind: Kind, bucket: Bucket) -> Bucket | None:
    """The bucket as the attacker leaves it; None where there is nothing to swap with."""
    target = find(bucket, kind.target)
    assert target, kind.name
    if how == "deleted":
        return {key: body for key, body in bucket.items() if key != target}
    if how == "swapped":
        older = find(bucket, kind.older) if kind.older else ""
        return {**bucket, target: bucket[older]} if older else None
    changed = {**bucket, target: kind.change(bucket[target])}
    return _consistent(bucket, changed, target) if how == "forged" else changed


def cell(settings: Settings, store: ObjectStore, honest: dict[str, str], left: Bucket | None) -> str:
    """Who refuses, and who is misled; each begins anew, and remembers nothing of the bucket."""
    if left is None:
        return "-"
    restore(store, left)
    said = answers(settings)
    refusing = [name for name in READERS if not said[name]]
    misled = [name for name in READERS if said[name] and said[name] != honest[name]]
    parts = [f"refused by {', '.join(refusing)}"] * bool(refusing)
    parts += [f"**misled**: {', '.join(misled)}"] * bool(misled)
    return "; ".join(parts) or SAME


def table(cells: dict[tuple[str, str], str], with_key: bool) -> str:
    lines = ["| object | " + " | ".join(ATTACKS) + " |", "|---" * (len(ATTACKS) + 1) + "|"]
    lines += [
        f"| {kind.name} | {' | '.join(cells[kind.name, how] for how in ATTACKS)} |"
        for kind in kinds(with_key)
    ]
    return "\n".join(lines)
