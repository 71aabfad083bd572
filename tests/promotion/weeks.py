"""Weeks of a bucket: a champion of the story, and batches that real films come in."""

from dataclasses import dataclass
from pathlib import Path

from pneumo_tasks import pipeline
from pneumo_tasks.evaluation.unseen.new_films import ScoredUnseen
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.sent.batches import Split, upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import Story
from tests.intake.films import film, good_files, jpeg, write
from tests.kept_buckets import once
from tests.promotion.judging import judge


@dataclass
class Weeks:
    """``settings`` and ``store`` of one bucket; ``folder`` for what senders have."""

    settings: Settings
    store: ObjectStore
    folder: Path

    def sends(self, batch_id: str, files: dict[str, bytes], split: Split = "train") -> None:
        source = write(self.folder / batch_id, files)
        upload_batch(self.settings, self.store, source, batch_id, split)
        assert validate_batch(self.settings, self.store, batch_id).state == "accepted"

    def assembles(self) -> str:
        snapshot = pipeline.assemble(self.run).snapshot
        assert snapshot is not None
        return snapshot.snapshot_id

    def scores(self, snapshot_id: str) -> ScoredUnseen:
        return pipeline.score_unseen(self.run, snapshot_id)

    @property
    def run(self) -> Run:
        return Run(self.settings, self.store, "weekly", recorded=False)

    def label_of(self, digest: str) -> str:
        images = accepted_images(self.store)
        return str(images.loc[images["sha256"] == digest, "label"].iat[0])


def first_week(settings: Settings, story: Story, folder: Path) -> Weeks:
    """A champion, and a snapshot of 40 films that training is recorded to have seen."""
    from pneumo_tasks.dataset.seen import record_seen

    weeks = Weeks(settings, story.store, folder)

    def lived_through() -> None:
        promote_model(settings, story.store, judge(settings, story, "first"))
        weeks.sends("train-1", good_files(40))
        weeks.sends("test-1", good_files(10, start=500), "test")
        record_seen(weeks.store, weeks.assembles())

    once("first week", settings, weeks.store, lived_through)
    return weeks


def second_week(weeks: Weeks) -> str:
    """The snapshot of the second week, of which nothing was trained on yet."""

    def lived_through() -> str:
        weeks.sends("train-2", second_batch())
        return weeks.assembles()

    return once("second week", weeks.settings, weeks.store, lived_through)


def second_batch() -> dict[str, bytes]:
    """Ten films of new patients, and one more of a patient whom training has seen."""
    return good_files(10, start=100) | {"NORMAL/IM-0000-0002.jpeg": jpeg(film(900))}
