"""``.local/env``: the environment of the embedded stack, for ``pneumo``, for shells and for tests."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from pneumo_tasks.errors import BadConfiguration

# What the caller's shell may hold and the embedded stack must not see: another store, another Airflow.
_FOREIGN_PREFIXES = ("AIRFLOW_", "AWS_", "PNEUMO_S3_")
_FOREIGN_NAMES = ("PNEUMO_BUCKET", "PNEUMO_DEMO")


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
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text("".join(lines))
    part.replace(path)


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
