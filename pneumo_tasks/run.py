"""One run: what every stage of the pipeline works with, and where its stages are recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.local_disk import named_disk
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.told_objects import ToldStore
from pneumo_tasks.storage.work_folders import take_temporary_folder


class Telling(Protocol):
    """What a stage came to, with the sha256 of each object that later stages read."""

    @property
    def digests(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Run:
    """A run that is not ``recorded`` keeps no journal: that of a compared recipe, or of a benchmark.

    ``told`` are the digests of what earlier stages wrote (see ``ToldStore``).
    """

    settings: Settings
    store: ObjectStore
    run_id: str
    recorded: bool = True
    told: Mapping[str, str] = field(default_factory=dict)

    def after(self, *earlier: Telling) -> Self:
        """The run that believes what earlier stages told, and nothing that the bucket says against it."""
        told = dict(self.told)
        for result in earlier:
            told |= result.digests
        return replace(self, told=told)

    def open_store(self) -> ToldStore:
        return ToldStore.of(self.store, self.told)

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write what the run was started with; BadConfiguration for a run id that it may not have."""
        if self.recorded:
            journal.record_start(self.store, self.run_id, dict(facts))

    @contextmanager
    def stage(self, name: str, part: str = "") -> Iterator[None]:
        """Record how long a stage took. BadConfiguration where the run began in another store than this.

        What the stage writes for a moment lies in a folder that goes with this process. DiskUnusable where
        its disk, or that of the cache, takes no more.
        """
        with named_disk(take_temporary_folder(), self.settings.cache_root):
            if not self.recorded:
                yield
                return
            journal.check_store(self.store, self.run_id)
            with journal.stage(self.store, self.run_id, name, part), self._named():
                yield

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say of an object of this run that is missing what that means, and what to do."""
        try:
            yield
        except ObjectMissing as error:
            if error.do or layout.run(self.run_id) not in error.where:
                raise
            raise ObjectMissing(
                "an earlier task of this run has not left what this one needs",
                where=error.where,
                do="It was marked as successful by hand, or its objects are gone: clear it and what follows.",
            ) from error
