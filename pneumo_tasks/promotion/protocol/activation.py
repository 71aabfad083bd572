"""Which protocol holds: a document in the bucket under its digest, activated by an entry of the ledger."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, ObjectMissing, PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.protocol.bounds import compare, refuse_looser
from pneumo_tasks.promotion.protocol.document import Protocol, limits_of
from pneumo_tasks.promotion.registry import ledger
from pneumo_tasks.promotion.registry.signatures import check_document, sign_document
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

KIND = "protocol"


@dataclass(frozen=True)
class Active:
    """The protocol that holds, and the ledger entry that activated it: 0 for the embedded default."""

    protocol: Protocol
    seq: int = 0

    @property
    def embedded(self) -> bool:
        return self.seq == 0


class Proposal(BaseModel):
    """protocols/<digest>.proposal.json: who wants the protocol, and why, while a second person is asked."""

    model_config = ConfigDict(frozen=True)

    by: str
    reason: str
    at: str


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
    return Active(read_protocol(settings, store, entries[-1].sha256 or ""), entries[-1].seq)


def read_protocol(settings: Settings, store: ObjectStore, digest: str) -> Protocol:
    """The protocol of a digest, its bytes and its signature checked."""
    key = layout.protocol(digest)
    body = store.read_verified(key, digest)
    check_document(settings, store, key, body)
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
    refuse_looser(compare(limits, stated), f"protocol {active.protocol.digest[:12]}")
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
    if former and former.protocol.digest == digest:
        return Activated(digest, former.seq, "this protocol holds already")
    _store(settings, store, wanted)
    if rules is None or not rules.approvers:
        return _enter(store, digest, former, by, reason, None)
    key = layout.protocol_proposal(digest, former.seq if former else 0)
    first = Proposal(by=by, reason=reason, at=journal.now())
    proposal = Proposal.model_validate_json(store.put_once(key, canonical_json(first.model_dump())))
    if proposal == first:
        named = ", ".join(rules.approvers)
        said = f"recorded; a second person has to agree, one of {named}: the same command with their reason"
        return Activated(digest, None, said)
    if by not in rules.approvers or (by == proposal.by and not rules.starter_may_approve):
        raise PromotionRefused(
            f"{by} may not agree to this protocol",
            found=f"wanted by {proposal.by}; the protocol names {', '.join(rules.approvers)}",
        )
    approval = Approval(verdict="promote", by=by, reason=reason)
    return _enter(store, digest, former, proposal.by, proposal.reason, approval)


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
    signature = sign_document(settings, key, protocol.body)
    if signature is not None:
        store.put_once(layout.signature_of(key), signature)


def _enter(
    store: ObjectStore, digest: str, former: Active | None, by: str, reason: str, approval: Approval | None
) -> Activated:
    entry = ledger.append(
        store,
        ledger.NewEntry(
            kind=KIND,
            version=None,
            sha256=digest,
            attempt=f"protocol-{digest[:16]}-after-{former.seq if former else 0}",
            by=by,
            reason=reason,
            approval=approval,
        ),
    )
    return Activated(digest, entry.seq, f"active since ledger entry {entry.seq}")


def find_protocol(settings: Settings, store: ObjectStore, digest: str) -> Protocol:
    """The protocol whose digest begins with ``digest``; ObjectMissing where there is none, or several."""
    names = [listed.key.rsplit("/", 1)[-1] for listed in store.list_objects(layout.PROTOCOLS)]
    found = sorted({name[:64] for name in names if name.startswith(digest) and name.endswith(".json")})
    whole = [name for name in found if f"{name}.json" in names]
    if len(whole) != 1:
        raise ObjectMissing("no such protocol", where=layout.PROTOCOLS, found=f"{len(whole)} match {digest}")
    return read_protocol(settings, store, whole[0])
