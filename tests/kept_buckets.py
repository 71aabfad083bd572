"""The states of a bucket that many tests begin with: computed once a process, then written again."""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

from pydantic import SecretStr

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.many_writes import put_many

T = TypeVar("T")
_kept: dict[str, tuple[dict[str, bytes], Any]] = {}


def contents(store: ObjectStore) -> list[tuple[str, str]]:
    """Every key of the bucket, with its etag."""
    return [(found.key, found.etag) for found in store.list_objects("")]


def once(name: str, settings: Settings, store: ObjectStore, build: Callable[[], T]) -> T:
    """What ``build`` returns and adds to a bucket; later, in a bucket that holds the same as then, it is
    written down again. The settings and the environment are then the same too, but for the bucket's place.
    """
    before = contents(store)
    same = json.dumps([name, _told(settings), before])
    if same not in _kept:
        returned, after = build(), contents(store)
        assert {key for key, _ in before} <= {key for key, _ in after}
        changed = set(after) - set(before)
        _kept[same] = {key: store.read(key) for key, _ in changed}, deepcopy(returned)
        return returned
    bodies, returned = _kept[same]
    put_many(store, bodies)
    return deepcopy(returned)


def _told(settings: Settings) -> list[Any]:
    place = {"bucket", "s3_endpoint", "s3_access_key", "s3_secret_key"}
    said = {name: os.environ[name] for name in sorted(os.environ) if name.startswith("PNEUMO_")}
    of_the_place = {"PNEUMO_BUCKET", "PNEUMO_S3_ENDPOINT"}
    said = {name: value for name, value in said.items() if name not in of_the_place}
    given = {name: _open(value) for name, value in settings.model_dump(exclude=place).items()}
    return [repr(given), sorted(settings.model_fields_set), said]


def _open(value: object) -> object:
    """Two keys are two settings, and look alike until they are opened."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value
