"""``.local/env``: the environment of the embedded stack, for ``pneumo``, for shells and for tests."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.storage.local_disk import write_private

# What the caller's shell may hold and the embedded stack must not see: another store, another Airflow.
_FOREIGN_PREFIXES = ("AIRFLOW_", "AWS_", "PNEUMO_S3_")
_FOREIGN_NAMES = ("PNEUMO_BUCKET", "PNEUMO_DEMO")
# What the stack writes besides PNEUMO_* and Airflow's own, and `pneumo` needs.
_OURS = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED",
    "KERAS_HOME", "MPLCONFIGDIR", "TF_CPP_MIN_LOG_LEVEL", "GX_ANALYTICS_ENABLED", "DO_NOT_TRACK",
}  # fmt: skip

log = logging.getLogger(__name__)


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """Write KEY='value' lines that a shell and python-dotenv read alike; only the owner may read them."""
    lines = []
    for name, value in values.items():
        if "'" in value or "\n" in value or "\\" in value:
            raise BadConfiguration(
                f"{name} holds a quote, a backslash or a line break", where=str(path),
                do="Use a folder without them in its name.",
            )  # fmt: skip
        lines.append(f"{name}='{value}'\n")
    write_private(path, "".join(lines))


def read_environment(path: Path) -> dict[str, str]:
    """The values of ``write_environment``; empty where there is no file."""
    return {
        name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None
    }


def isolated(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without what would lead the embedded stack to another store or Airflow.

    Local addresses never go through a proxy. Other PNEUMO_* variables stay: they are for the run.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
    }
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name), "127.0.0.1,localhost"]))
    return kept


def load_local_environment(path: Path, role: Path | None = None) -> None:
    """Lay the file's values below the environment's: only ours, and only from a file that is this user's.

    What ``role`` holds goes before them, and before what a shell took from the file itself.
    The folder that somebody stands in may be anybody's: AWS_CONFIG_FILE in it could name a program to run.
    """
    values = _ours(path)
    own = _ours(role) if role is not None and values else {}
    for name, value in {**values, **own}.items():
        if name not in os.environ or (name in own and os.environ[name] == values.get(name)):
            os.environ[name] = value


def _ours(path: Path) -> dict[str, str]:
    try:
        owner = path.stat().st_uid
    except OSError:
        return {}
    if owner != os.getuid():
        log.warning("%s belongs to another user (uid %d): it is not read", path, owner)
        return {}
    found = read_environment(path)
    ours = {name for name in found if name.startswith("PNEUMO_") or name in _OURS}
    for name in found:
        if name not in ours and not name.startswith("AIRFLOW"):
            log.warning("%s holds %s, which is none of ours: it is not used", path, name)
    return {name: value for name, value in found.items() if name in ours}
