"""The roles of ``docker/policies/``, enforced by a real SeaweedFS: an identity each, with its own key."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.local.store_roles import ROLES
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLICIES = Path(__file__).parents[2] / "docker" / "policies"
BUCKET, PREFIX = "roles", "hospital-a"


def start(folder: Path) -> S3Server:
    """A server whose root is ``pneumo``, and which knows each role by its name and a key of its own."""
    folder.mkdir(parents=True, mode=0o700)
    root = _identity("pneumo") | {"actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    identities = [root, *(_identity(role) | {"actions": [], "policyNames": [role]} for role in ROLES)]
    policies = [{"name": role, "content": policy_of(role)} for role in ROLES]
    (folder / "identities.json").write_text(json.dumps({"identities": identities, "policies": policies}))
    return seaweedfs.start(folder)


def policy_of(role: str) -> str:
    text = (POLICIES / f"{role}.json").read_text()
    return text.replace("BUCKET", BUCKET).replace("PREFIX", PREFIX)


def key_of(name: str) -> tuple[str, str]:
    return f"{name}-access", f"{name}-secret-of-a-test"


def settings_of(name: str, server: S3Server, settings: Settings) -> Settings:
    access, secret = key_of(name)
    own = {"s3_endpoint": server.endpoint, "bucket": BUCKET, "s3_access_key": SecretStr(access)}
    return settings.model_copy(update=own | {"s3_secret_key": SecretStr(secret)})


def _identity(name: str) -> dict[str, Any]:
    access, secret = key_of(name)
    return {"name": name, "credentials": [{"accessKey": access, "secretKey": secret}]}


@dataclass(frozen=True)
class Operation:
    """One row of the table in docs/security.md, and how it is tried; True: the store did it."""

    name: str
    attempt: Callable[["S3Client"], object]

    def is_allowed(self, store: ObjectStore) -> bool:
        try:
            with store._mapped(self.name):
                answer = self.attempt(store.client)
        except BadConfiguration as refused:
            if "AccessDenied" not in str(refused) and "403" not in str(refused):
                raise  # not by its policy
            return False
        return not (isinstance(answer, dict) and answer.get("Errors"))


def reads(name: str, key: str) -> Operation:
    return Operation(name, lambda client: client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def writes(name: str, key: str) -> Operation:
    return Operation(name, lambda client: client.put_object(Bucket=BUCKET, Key=key, Body=b"x"))


def deletes(name: str, key: str) -> Operation:
    gone = {"Objects": [{"Key": key}]}

    def both(client: "S3Client") -> object:
        try:
            client.delete_object(Bucket=BUCKET, Key=key)
        except client.exceptions.ClientError:
            return client.delete_objects(Bucket=BUCKET, Delete=gone)  # the other door to the same
        return None

    return Operation(name, both)


def lists(name: str, prefix: str | None) -> Operation:
    asked = {} if prefix is None else {"Prefix": prefix}
    return Operation(name, lambda client: client.list_objects_v2(Bucket=BUCKET, **asked))


FILM, OF_OTHERS = f"incoming/{PREFIX}-1/a.jpeg", "incoming/hospital-b-1/a.jpeg"
COPY = {"Bucket": BUCKET, "Key": OF_OTHERS}
OPERATIONS = (
    reads("read its own batch", FILM),
    writes("write its own batch", FILM),
    reads("read another's batch", OF_OTHERS),
    writes("write another's batch", OF_OTHERS),
    Operation(
        "copy another's film into its own batch",
        lambda client: client.copy_object(Bucket=BUCKET, Key=FILM, CopySource=COPY),  # type: ignore[arg-type]
    ),
    lists("list its own batch", f"incoming/{PREFIX}-1/"),
    lists("list all batches", "incoming/"),
    lists("list the whole bucket", None),
    lists("list by a part of `incoming/`", "inc"),
    reads("read facts of patients", "validations/b/d/facts.parquet"),
    writes("write a verdict", "validations/b/d/result.json"),
    reads("read the register", "register/register.json"),
    writes("write the register", "register/register.json"),
    reads("read a decision", "runs/r/decision.json"),
    writes("write a decision", "runs/r/decision.json"),
    writes("write why a task failed", "runs/r/failures/t~-1.json"),
    writes("write the list of runs", "run-index/r.json"),
    lists("list runs", "runs/"),
    reads("read a model", "models/v/model.keras"),
    writes("write a model", "models/v/model.keras"),
    reads("read the pointer", "champion.json"),
    writes("write the pointer", "champion.json"),
    deletes("delete the pointer", "champion.json"),
    writes("write the ledger", "ledger/00000001.json"),
    deletes("delete an entry", "ledger/00000001.json"),
    writes("count evidence", "tally/entries/00000001.json"),
    writes("write features", "features/e/s/x.npy"),
    deletes("delete a decision", "runs/r/decision.json"),
    deletes("delete a checkpoint", "runs/r/head/checkpoints/1.npz"),
    deletes("delete a probe", "store-probes/x"),
    Operation("make a bucket", lambda client: client.create_bucket(Bucket="another")),
    Operation("delete the bucket", lambda client: client.delete_bucket(Bucket=BUCKET)),
    Operation(
        "change its versioning",
        lambda client: client.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    Operation(
        "open the bucket to all", lambda client: client.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    ),
)  # fmt: skip
KEYS = (
    FILM, OF_OTHERS, "validations/b/d/facts.parquet", "validations/b/d/result.json", "register/register.json",
    "runs/r/decision.json", "run-index/r.json", "models/v/model.keras", "champion.json",
    "ledger/00000001.json", "features/e/s/x.npy", "runs/r/head/checkpoints/1.npz", "store-probes/x",
)  # fmt: skip


def table(cells: dict[tuple[str, str], bool]) -> str:
    lines = ["| operation | " + " | ".join(ROLES) + " |", "|---" * (len(ROLES) + 1) + "|"]
    for one in OPERATIONS:
        row = ["yes" if cells[one.name, role] else "-" for role in ROLES]
        lines.append(f"| {one.name} | {' | '.join(row)} |")
    return "\n".join(lines)
