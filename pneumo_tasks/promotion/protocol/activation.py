"""Which protocol holds: a document in the bucket under its digest, activated by an entry of the ledger."""

from dataclasses import dataclass, field
from typing import Any

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, ObjectMissing
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import append_sealed, refuse_unsigned
from pneumo_tasks.promotion.ledger.signatures import check_document, sign_stored
from pneumo_tasks.promotion.protocol.agreement import agree, asks
from pneumo_tasks.promotion.protocol.bounds import compare, refuse_looser
from pneumo_tasks.promotion.protocol.document import Protocol, limits_of
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256

KIND = "protocol"


@dataclass(frozen=True)
class Active:
    """The protocol that holds, and the ledger entry that activated it: 0 for the embedded default.

    ``stored`` are its bytes in the bucket: a field that a later release adds does not change its digest.
    """

    protocol: Protocol
    seq: int = 0
    stored: bytes = field(default=b"", compare=False, repr=False)

    @property
    def body(self) -> bytes:
        return self.stored or self.protocol.body

    @property
    def digest(self) -> str:
        return sha256(self.body)

    @property
    def embedded(self) -> bool:
        return self.seq == 0


@dataclass(frozen=True)
class Activated:
    """``seq`` is the ledger entry, None while a second person has to agree."""

    digest: str
    seq: int | None
    sentence: str


def active_protocol(settings: Settings, store: ObjectStore, environment: Settings) -> Active:
    """The protocol of the last activation; without one the embedded default: the environment's limits.

    CorruptArtefact where the document is not the one that was activated, or its signature does not fit.
    """
    return protocol_before(settings, store, None) or Active(Protocol.of(environment))


def protocol_before(settings: Settings, store: ObjectStore, seq: int | None) -> Active | None:
    """The protocol that was active when ledger entry ``seq`` was written (None: now); None without one."""
    entries = [e for e in ledger.read_ledger(store) if e.kind == KIND and (seq is None or e.seq < seq)]
    if not entries:
        return None
    protocol, body = _read(settings, store, entries[-1].sha256 or "")
    return Active(protocol, entries[-1].seq, body)


def read_protocol(settings: Settings, store: ObjectStore, digest: str) -> Protocol:
    """The protocol of a digest, its bytes and its signature checked."""
    return _read(settings, store, digest)[0]


def _read(settings: Settings, store: ObjectStore, digest: str) -> tuple[Protocol, bytes]:
    key = layout.protocol(digest)
    body = store.read_verified(key, digest)
    check_document(settings, store, key, body)
    return parse_stored(key, body), body


def parse_stored(key: str, body: bytes) -> Protocol:
    """The protocol that the object at ``key`` holds; CorruptArtefact where it is none."""
    try:
        return Protocol.model_validate_json(body)
    except ValueError as error:
        found = " ".join(str(error).split())[:200]
        raise CorruptArtefact("not a protocol", where=key, found=found) from None


def govern(active: Active, run: Settings) -> Settings:
    """The settings of a run with the protocol's limits, tightened where the run says so.

    Only what the run or its environment states is compared: a setting at its default takes the protocol's
    value. Raises BadConfiguration with both values where anything would loosen the protocol.
    """
    limits = active.protocol.effective_limits()
    stated = {name: value for name, value in limits_of(run).items() if name in run.model_fields_set}
    refuse_looser(compare(limits, stated), layout.protocol(active.digest))
    return run.model_copy(update={**limits, **stated})


def activate(settings: Settings, store: ObjectStore, wanted: Protocol, by: str, reason: str) -> Activated:
    """Make ``wanted`` the protocol. Where the one that holds names approvers, two persons are needed.

    The first call records who wants it and why; the same call by a second, named person activates it.
    Raises PromotionRefused where that person is not named or is the first one, BadConfiguration without
    a reason of the length that the protocol asks for.
    """
    former = protocol_before(settings, store, None)
    rules = former.protocol.approval if former else None
    if len(reason.strip()) < max(1, rules.min_reason_letters if rules else 1):
        least = rules.min_reason_letters if rules else 1
        raise BadConfiguration(
            "a reason is missing or too short", found=f"{len(reason.strip())} letters, limit {least}",
            do="Say why with --reason.",
        )  # fmt: skip
    digest = wanted.digest
    if former and former.digest == digest:
        return Activated(digest, former.seq, "this protocol holds already")
    _store(settings, store, wanted)
    if rules is None or not rules.approvers:
        return _enter(settings, store, Wanted(digest, former, by, reason))
    key = layout.protocol_proposal(digest, former.seq if former else 0)
    proposal, approval = agree(store, rules, key, by, reason)
    if approval is None:
        return Activated(digest, None, asks(rules))
    return _enter(settings, store, Wanted(digest, former, proposal.by, proposal.reason, approval))


def history(store: ObjectStore) -> list[dict[str, Any]]:
    """Every activation, oldest first: seq, at, digest, by, reason, approved_by."""
    return [
        {
            "seq": entry.seq,
            "at": entry.at,
            "digest": entry.sha256,
            "by": entry.by,
            "reason": entry.reason,
            "approved_by": entry.approval.by if entry.approval else None,
        }
        for entry in ledger.read_ledger(store)
        if entry.kind == KIND
    ]


def _store(settings: Settings, store: ObjectStore, protocol: Protocol) -> None:
    key = layout.protocol(protocol.digest)
    store.put_once(key, protocol.body)
    store.read_verified(key, protocol.digest)
    sign_stored(settings, store, key)


@dataclass(frozen=True)
class Wanted:
    """An activation that has all the consent it needs."""

    digest: str
    former: Active | None
    by: str
    reason: str
    approval: Approval | None = None


def _enter(settings: Settings, store: ObjectStore, wanted: Wanted) -> Activated:
    refuse_unsigned(settings, store)
    digest, former = wanted.digest, wanted.former
    entry = append_sealed(
        settings,
        store,
        ledger.NewEntry(
            kind=KIND,
            version=None,
            sha256=digest,
            attempt=f"protocol-{digest[:16]}-after-{former.seq if former else 0}",
            by=wanted.by,
            reason=wanted.reason,
            approval=wanted.approval,
        ),
    )
    return Activated(digest, entry.seq, f"active since ledger entry {entry.seq}")


def find_protocol(settings: Settings, store: ObjectStore, digest: str) -> Active:
    """The protocol whose digest begins with ``digest``, and its last activation (-1: none).

    ObjectMissing where there is none, or several.
    """
    names = [listed.key.rsplit("/", 1)[-1] for listed in store.list_objects(layout.PROTOCOLS)]
    found = sorted({name[:64] for name in names if name.startswith(digest) and name.endswith(".json")})
    whole = [name for name in found if f"{name}.json" in names]
    if len(whole) != 1:
        raise ObjectMissing("no such protocol", where=layout.PROTOCOLS, found=f"{len(whole)} match {digest}")
    activated = [entry["seq"] for entry in history(store) if entry["digest"] == whole[0]]
    protocol, body = _read(settings, store, whole[0])
    return Active(protocol, activated[-1] if activated else -1, body)
