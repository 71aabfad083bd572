"""One way for all tests of the intake to hand in files and have them judged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.sent.batches import Split, upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.films import write

Validated = Callable[..., BatchVerdict]


@pytest.fixture
def validated(settings: Settings, store: ObjectStore, tmp_path: Path) -> Validated:
    def upload_and_validate(
        files: dict[str, bytes] | Path, batch_id: str = "b1", split: Split = "train"
    ) -> BatchVerdict:
        source = files if isinstance(files, Path) else write(tmp_path / batch_id, files)
        upload_batch(settings, store, source, batch_id, split)
        return validate_batch(settings, store, batch_id)

    return upload_and_validate


def rules(verdict: BatchVerdict) -> dict[str, str]:
    """Each rejected file with the rule it broke."""
    return {rejection.file: rejection.rule for rejection in verdict.rejected}
