"""Every error Pneumo raises on purpose.

    PneumoError
    ├── FinalError               trying again cannot help
    │   ├── BadConfiguration       a setting, a credential or a missing weight file
    │   ├── BadBatch               a batch that cannot be read as a batch
    │   ├── BadData                a dataset that cannot be trained on or evaluated
    │   ├── ObjectMissing          a key that should exist and does not
    │   ├── CorruptArtefact        bytes that are not the bytes that were written
    │   ├── UnsafeStore            a store that ignores conditional writes
    │   ├── DiskUnusable           a folder of this machine that is full or read-only
    │   └── PromotionRefused       the gate, or somebody else's promotion, said no
    └── RetryableError           the same call may succeed later
        ├── StorageUnavailable     the object store did not answer, or answered 5xx
        ├── ConditionFailed        the object changed between the read and the write
        └── WorkerLost             a worker or its accelerator went away

Airflow fails a task at once on a ``FinalError`` and retries it, with back-off, on a
``RetryableError``; the mapping lives in ``plugins/pneumo_airflow/stages.py``.
"""


class PneumoError(Exception):
    """Says what happened, where, the value against its limit, and what to do next."""

    def __init__(self, what: str, *, where: str = "", found: str = "", do: str = "") -> None:
        self.what, self.where, self.found, self.do = what, where, found, do
        parts = [what]
        if where:
            parts.append(f"at {where}")
        if found:
            parts.append(f"({found})")
        super().__init__(" ".join(parts) + (f". {do}" if do else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.found, self.do)


def _rebuild(kind: type[PneumoError], what: str, where: str, found: str, do: str) -> PneumoError:
    return kind(what, where=where, found=found, do=do)


class FinalError(PneumoError):
    """Trying again cannot help: a person has to change something."""


class RetryableError(PneumoError):
    """The same call may succeed later."""


class BadConfiguration(FinalError):
    """A setting is missing, impossible or contradicts another."""


class BadBatch(FinalError):
    """A batch cannot be read as a batch; none of its images is used."""


class BadData(FinalError):
    """The accepted data cannot be trained on or evaluated as it stands."""


class ObjectMissing(FinalError):
    """A key that an earlier stage should have written is not in the bucket."""


class CorruptArtefact(FinalError):
    """The bytes read are not the bytes that were written: their sha256 differs."""


class UnsafeStore(FinalError):
    """The object store ignores conditional writes, so no pointer may be moved in it."""


class DiskUnusable(FinalError):
    """A folder of this machine takes no more bytes: it is full, read-only, or somebody else's."""


class PromotionRefused(FinalError):
    """A candidate may not become the champion."""


class StorageUnavailable(RetryableError):
    """The object store did not answer, or answered with a server error."""


class ConditionFailed(RetryableError):
    """A conditional write found another object than the one that was read."""


class WorkerLost(RetryableError):
    """A worker or its accelerator went away in the middle of a task."""
