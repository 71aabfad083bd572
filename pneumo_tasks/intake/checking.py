"""The check before anything is sent: what validation would say of a folder or an archive of this machine.

It is the judgement of the validating task itself, against nothing known: no bucket and no network.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.containers.disk import Disk
from pneumo_tasks.intake.containers.folders import archive_in
from pneumo_tasks.intake.datasheet import render_datasheet
from pneumo_tasks.intake.inspecting.collection import collect_facts
from pneumo_tasks.intake.inspecting.inspectors import Assignment, Progress
from pneumo_tasks.intake.judging import Known, judge_batch, refused
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.sent.batches import Batch, Split
from pneumo_tasks.intake.sent.contents import contents_on_disk
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings

CHECKED = "check"
_NO_DIGEST = "0" * 64


class FileCheck(BaseModel):
    """One row: accepted, or quarantined by ``rule``; ``pixels_sha256`` of the grey pixels, row by row."""

    model_config = ConfigDict(frozen=True)

    file: str
    state: Literal["accepted", "quarantined"]
    rule: str | None
    value: str | None
    limit: str | None
    label: str
    patient: str | None
    split: Split
    view: str | None
    pixels_sha256: str | None


class SendersCheck(BaseModel):
    """What validation would say, as far as it needs no history; ``refused``: it is no batch at all."""

    model_config = ConfigDict(frozen=True)

    state: Literal["accepted", "rejected", "unlabelled", "refused"]
    reasons: list[str]
    warnings: list[str]
    patients: int
    files: list[FileCheck]

    @property
    def exit_code(self) -> int:
        """0 where all is good, 2 where a file would be quarantined, 1 where the batch would be refused."""
        if self.state == "refused":
            return 1
        return 2 if self.state == "rejected" or any(file.rule for file in self.files) else 0


@dataclass(frozen=True)
class Checked:
    """The answer, and what its datasheet is made of."""

    answer: SendersCheck
    verdict: BatchVerdict
    facts: pd.DataFrame | None

    def datasheet(self, settings: Settings) -> str:
        return render_datasheet(settings, self.verdict, self.facts)


def check_path(
    settings: Settings,
    path: Path,
    split: Split = "auto",
    pixels: Path | None = None,
    unlabelled: bool = False,
    on_progress: Progress | None = None,
) -> Checked:
    """Judge a folder, a .zip or a .tar as the validating task would; writes nothing but ``pixels``.

    ``unlabelled``: the labels come later. ``pixels`` is a folder for the grey films that training would
    see, ``<file>.png`` each.
    """
    batch = Batch(batch_id=CHECKED, created_at=now(), split=split, images=0, unlabelled=unlabelled)
    try:
        _check_name(path)
        contents = replace(contents_on_disk(path, split), unlabelled=unlabelled)
        if archive_in(path) is None:
            batch = batch.model_copy(update={"images": len(contents.files)})
        assignment = Assignment(settings, CHECKED, _NO_DIGEST, on_disk=True, pixels=pixels)
        collected = collect_facts(assignment, Disk(), contents, on_progress)
    except BadBatch as error:
        verdict = refused(batch, _NO_DIGEST, str(error))
        answer = SendersCheck(state="refused", reasons=verdict.reasons, warnings=[], patients=0, files=[])
        return Checked(answer, verdict, None)
    judged = judge_batch(settings, batch, _NO_DIGEST, collected, Known.nothing())
    facts, verdict = judged.facts, judged.verdict
    answer = SendersCheck(
        state=verdict.state,
        reasons=verdict.reasons,
        warnings=verdict.warnings,
        patients=int(facts.loc[facts["rule"].isna(), "patient"].nunique()),
        files=_files(facts, verdict, split),
    )
    return Checked(answer, verdict, facts)


def _check_name(path: Path) -> None:
    """BadBatch for a folder whose name is not text: neither tables nor datasheets can hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="replace")
        raise BadBatch("the folder's own name is not UTF-8", where=shown, do="Rename it.") from None


def _files(facts: pd.DataFrame, verdict: BatchVerdict, split: Split) -> list[FileCheck]:
    """A line for each row, in the order of the file names; the rejected ones as quarantine lists them."""
    rejected = iter(verdict.rejected)  # in the order of the rows, which are sorted by file as well
    views = facts["view"] if "view" in facts else pd.Series("", index=facts.index)
    lines = []
    for file, rule, label, patient, view, grey in zip(
        *(facts["file"], facts["rule"], facts["label"], facts["patient"], views, facts["grey_sha256"]),
        strict=True,
    ):
        broken = next(rejected) if isinstance(rule, str) else None
        lines.append(
            FileCheck(
                file=file,
                state="quarantined" if broken else "accepted",
                rule=broken.rule if broken else None,
                value=broken.value if broken else None,
                limit=broken.limit if broken else None,
                label=label,
                patient=_text(patient),
                split=split,
                view=_text(view),
                pixels_sha256=_text(grey),
            )
        )
    return lines


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
