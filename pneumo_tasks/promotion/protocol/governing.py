"""What a run is judged by: the protocol's limits, tightened where the run says so.

Every door asks: the trigger form, `pneumo retrain`, the first task, every later task, and the stage that
decides. None relies on another. A run keeps a copy of the protocol that held when it began, so that a
worker whose environment says less is found out where no protocol was ever activated.
"""

from dataclasses import dataclass
from typing import Any

from pneumo_tasks.errors import BadConfiguration, ObjectMissing, PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.protocol.activation import (
    Active,
    active_protocol,
    govern,
    parse_stored,
    protocol_before,
)
from pneumo_tasks.promotion.protocol.approvers import check_approval
from pneumo_tasks.promotion.protocol.bounds import compare
from pneumo_tasks.promotion.protocol.document import Protocol
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


@dataclass(frozen=True)
class Governed:
    """The settings that a run is judged by, and the protocol that they come from."""

    settings: Settings
    active: Active


def holding(settings: Settings, store: ObjectStore) -> Active:
    """The protocol that holds now; where none was activated, the limits of this process' environment.

    What a run was given does not vouch for itself: the environment is asked, not ``settings``.
    """
    return active_protocol(settings, store, Settings.load())


def check_run(settings: Settings, store: ObjectStore) -> Governed:
    """Judge the settings of a run that has not begun; BadConfiguration where they loosen the protocol."""
    active = holding(settings, store)
    return Governed(govern(active, settings), active)


def govern_run(settings: Settings, store: ObjectStore, run_id: str) -> Governed:
    """The settings of a run under the protocol that holds now.

    The first call keeps what holds then beside the run. BadConfiguration where anything loosens the
    protocol, and where a looser one was activated since the run began: it comes before the candidate.
    """
    active = protocol_before(settings, store, None)
    began = _kept(store, run_id, active or Active(Protocol.of(Settings.load())))
    if active is None:
        return Governed(govern(began, settings), began)
    if active.digest != began.digest:
        _refuse_looser_since(began, active, run_id)
    return Governed(govern(active, settings), active)


def check_consent(settings: Settings, store: ObjectStore, by: str, approval: Approval | None) -> None:
    """A change by hand that ``by`` asks for; PromotionRefused without the second person that it needs.

    Where the protocol names nobody, a consent is not needed, and counts only if it is one.
    """
    rules = holding(settings, store).protocol.approval
    if approval is not None:
        check_approval(rules, approval, by)
    elif rules.approvers:
        raise PromotionRefused(
            "a second person has to agree to this change",
            found=f"asked for by {by}; the protocol names {', '.join(rules.approvers)}",
            do="One of them gives the same command, or answers in the Airflow UI.",
        )


def kept_limits(store: ObjectStore, run_id: str) -> dict[str, Any]:
    """The limits of the protocol that held when the run began; empty for a run of an older release."""
    key = layout.run(run_id, "protocol.json")
    try:
        return parse_stored(key, store.read(key)).effective_limits()
    except ObjectMissing:
        return {}


def _kept(store: ObjectStore, run_id: str, active: Active) -> Active:
    """The protocol that held when the run began, as it was kept then."""
    key = layout.run(run_id, "protocol.json")
    try:
        body = store.read(key)
    except ObjectMissing:
        body = store.put_once(key, active.body)
    return Active(parse_stored(key, body), stored=body)


def _refuse_looser_since(began: Active, active: Active, run_id: str) -> None:
    changes = compare(began.protocol.effective_limits(), active.protocol.effective_limits())
    if looser := [change for change in changes if change.effect != "tighter"]:
        raise BadConfiguration(
            "a looser protocol was activated while the run went on",
            where=layout.run(run_id),
            found=f"ledger entry {active.seq}: {'; '.join(map(str, looser))}",
            do="Start another run: what has to hold is written before the candidate exists.",
        )
