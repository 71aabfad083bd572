"""One credential for each role of docker/policies/ in the store of ``make demo``, and who has which.

.local/s3/identities.json    what the store knows: its administrator, the roles, their policies (0600)
.local/roles/ROLE            the variables of one role, for the processes that have it (0600)
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pneumo_tasks.local.environment_file import read_environment, write_environment
from pneumo_tasks.storage.local_disk import make_folder, write_private

POLICIES = Path(__file__).resolve().parents[2] / "docker" / "policies"
ROLES = ("sender", "pipeline", "scheduler", "reviewer", "reader", "deployment", "eraser")
ADMINISTRATOR = "pneumo"
AWS_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

# The scheduler runs the tasks itself. The triggerer and what starts all of them never reach the store.
COMPONENTS = {"scheduler": "pipeline", "dag-processor": "scheduler", "api-server": "scheduler"}
# What people type, by its first words; whatever is not named reads, answers and rolls back.
PERSON = "reviewer"
COMMANDS = {
    ("batch", "upload"): "sender",
    ("receive",): "sender",
    ("batch", "label"): "pipeline",
    ("batch", "resubmit"): "pipeline",
    ("batch", "withdraw"): "pipeline",
    ("retrain",): "pipeline",
    ("recipes",): "pipeline",
    ("outcomes",): "pipeline",
    ("watch",): "pipeline",
    ("doctor",): "pipeline",
    ("models", "matrix"): "pipeline",
    ("predict",): "deployment",
    ("models", "download"): "deployment",
    ("runs",): "reader",
    ("models", "list"): "reader",
    ("models", "history"): "reader",
    ("prune",): "eraser",
    ("patient",): "eraser",
}


class KeyPair(NamedTuple):
    """What a role signs in with."""

    access: str
    secret: str


def role_of(words: Sequence[str]) -> str:
    """The role that a command of ``pneumo`` works in, by the words that are no options."""
    spoken = tuple(word for word in words if not word.startswith("-"))
    return COMMANDS.get(spoken[:2]) or COMMANDS.get(spoken[:1]) or PERSON


def write_identities(path: Path, bucket: str) -> dict[str, KeyPair]:
    """Make the store know each role, with its policy for ``bucket``, from its next start on.

    Pairs that are there stay, the administrator's too; what is missing is drawn. Returns those of the roles.
    """
    kept = kept_pairs(path)
    pairs = {name: kept.get(name) or drawn_pair() for name in (ADMINISTRATOR, *ROLES)}
    document = {
        "identities": [
            administrator(pairs[ADMINISTRATOR]),
            *(_identity(role, pairs[role]) | {"actions": [], "policyNames": [role]} for role in ROLES),
        ],
        "policies": [{"name": role, "content": _policy(role, bucket)} for role in ROLES],
    }
    make_folder(path.parent)
    write_private(path, json.dumps(document))
    return {role: pairs[role] for role in ROLES}


def write_roles(folder: Path, pairs: Mapping[str, KeyPair], endpoint: str, bucket: str) -> None:
    """A file for each role, with what a process needs to work in it: Airflow's connection, boto3's names."""
    make_folder(folder)
    for role, pair in pairs.items():
        write_environment(folder / role, _variables(pair, endpoint, bucket))


def variables_of(folder: Path, role: str) -> dict[str, str]:
    """The variables of a role; empty where the stack was started by a release without roles."""
    return read_environment(folder / role)


def _variables(pair: KeyPair, endpoint: str, bucket: str) -> dict[str, str]:
    connection = {
        "conn_type": "aws",
        "login": pair.access,
        "password": pair.secret,
        "extra": {"endpoint_url": endpoint, "region_name": "us-east-1", "bucket": bucket},
    }
    return {**dict(zip(AWS_PAIR, pair, strict=True)), "AIRFLOW_CONN_PNEUMO_S3": json.dumps(connection)}


def kept_pairs(path: Path) -> dict[str, KeyPair]:
    """Those of a store's identities, by name; empty where there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())["identities"]
    pairs = {one["name"]: one["credentials"][0] for one in found}
    return {name: KeyPair(pair["accessKey"], pair["secretKey"]) for name, pair in pairs.items()}


def drawn_pair() -> KeyPair:
    """A new one."""
    return KeyPair(secrets.token_hex(10), secrets.token_hex(20))


def administrator(pair: KeyPair) -> dict[str, Any]:
    """The identity that may do everything."""
    return _identity(ADMINISTRATOR, pair) | {"actions": ["Admin", "Read", "Write", "List", "Tagging"]}


def _identity(name: str, pair: KeyPair) -> dict[str, Any]:
    return {"name": name, "credentials": [{"accessKey": pair.access, "secretKey": pair.secret}]}


def _policy(role: str, bucket: str) -> str:
    """Its sender may send any batch: there is one, who started the stack."""
    text = (POLICIES / f"{role}.json").read_text()
    return text.replace("BUCKET", bucket).replace("PREFIX", "")
