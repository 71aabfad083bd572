"""A change by hand: who asks for it and why, and the second person who agreed, where one has to."""

import os
import pwd
import uuid
from dataclasses import dataclass, field

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.protocol.agreement import agree, asks
from pneumo_tasks.promotion.protocol.governing import holding
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def person() -> str:
    """The operating system's user: no more than that, for whoever holds the keys may name anybody.

    Not LOGNAME, USER and their like, which are whatever the shell says.
    """
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user without a name
        return f"uid {number}"


@dataclass(frozen=True, kw_only=True)
class ChangeRequest:
    """Who asks for a change by hand, and why; ``approval`` where a second person consented.

    ``attempt`` names the request (a DAG run, say), so that its repetition is recognised.
    """

    reason: str
    by: str = field(default_factory=person)
    approval: Approval | None = None
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex)


def with_second_person(
    settings: Settings, store: ObjectStore, kind: str, subject: str, reason: str
) -> ChangeRequest | str:
    """The request of this operating system's user with the consent that the protocol asks for.

    Where the protocol names approvers, the first call is kept and the sentence for the person is
    returned; the same call by a named second person gives the request of the first one.
    """
    rules, by = holding(settings, store).protocol.approval, person()
    if not rules.approvers:
        return ChangeRequest(reason=reason, by=by)
    if not reason.strip():
        raise BadConfiguration("a reason is missing", do="Say why with --reason.")
    pointer, _ = read_pointer(store)
    key = layout.change_proposal(kind, subject, pointer.seq if pointer else 0)
    proposal, approval = agree(store, rules, key, by, reason)
    if approval is None:
        return asks(rules)
    return ChangeRequest(reason=proposal.reason, by=proposal.by, approval=approval)
