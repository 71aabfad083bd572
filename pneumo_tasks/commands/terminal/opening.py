"""Settings and bucket of a command."""

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore


def open_bucket() -> tuple[Settings, ObjectStore]:
    """The settings of the environment and the bucket they name."""
    settings = Settings.load()
    return settings, ObjectStore.connect(settings)
