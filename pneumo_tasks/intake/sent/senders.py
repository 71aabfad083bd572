"""Who may do what with a batch: a sender is the prefix of its batch ids."""

from pneumo_tasks.intake.sent.batches import Batch
from pneumo_tasks.settings import Settings


def sender_of(settings: Settings, batch_id: str) -> str:
    """The longest prefix of PNEUMO_SENDERS that the id begins with; empty where there is none."""
    found = [prefix for prefix in _prefixes(settings.senders) if batch_id.startswith(prefix)]
    return max(found, key=len, default="")


def sender_fault(settings: Settings, batch: Batch) -> str | None:
    """Why the sender of this batch may not ask for this; None where it may.

    Test films judge every model to come, so nobody brings them by default. A correction takes films
    away, so it is for those who sent them.
    """
    trusted = _prefixes(settings.test_senders)
    if batch.split == "test" and not any(one == "*" or batch.batch_id.startswith(one) for one in trusted):
        return (
            "test films are taken only from senders that PNEUMO_TEST_SENDERS names, and it does not name "
            f"{batch.batch_id}. Set it to the prefix of this batch id, or send the batch with another split."
        )
    own = sender_of(settings, batch.batch_id)
    foreign = [old for old in batch.replaces if sender_of(settings, old) != own]
    if foreign:
        return f"a batch replaces those of its own sender, and {', '.join(foreign[:3])} is another one's"
    return None


def _prefixes(setting: str) -> list[str]:
    return [prefix.strip() for prefix in setting.split(",") if prefix.strip()]
