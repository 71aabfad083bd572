"""What is installed is what was meant, and nothing calls home."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pneumo_tasks.local.store_roles import ROLES

PROJECT = Path(__file__).parents[2]
HASHES = PROJECT / "constraints-hashes.txt"


def test_every_pinned_package_has_its_hashes_and_no_other_has() -> None:
    pinned = {
        line.strip().lower()
        for line in (PROJECT / "constraints.txt").read_text().splitlines()
        if line.strip()
    }
    text = HASHES.read_text()
    hashed = {line.split(" ")[0].lower() for line in text.splitlines() if line and not line.startswith(" ")}
    assert {one.split(";")[0].strip() for one in pinned if not one.startswith("#")} == hashed
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.split("\n")[0]
    assert "http" not in re.sub(r"^\S+", "", text, flags=re.MULTILINE)


def test_the_list_of_licences_names_each_component() -> None:
    spec = importlib.util.spec_from_file_location("licences", PROJECT / "docs" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.lines(
        {"components": [{"name": "b", "version": "1", "licenses": [{"license": {"id": "MIT"}}]},
                        {"name": "A", "version": "2", "licenses": [{"expression": "Apache-2.0 OR MIT"}]},
                        {"name": "c"}]}
    )  # fmt: skip
    assert found == ["A 2: Apache-2.0 OR MIT", "b 1: MIT", "c : not stated"]


ALONE = """
import os, socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError as error:
    assert error.errno in (101, 113, 110) or "timed out" in str(error), error
else:
    raise SystemExit("this is no network of its own")
import pneumo_tasks.cli as cli
import sys
sys.argv = ["pneumo", "batch", "check", os.environ["FOLDER"], "--json"]
cli.main()
"""


def test_checking_a_batch_needs_no_network_at_all(tmp_path: Path) -> None:
    from tests.intake.films import good_files, write

    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    folder = write(tmp_path / "batch", good_files(4))
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", ALONE],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(tmp_path), "FOLDER": str(folder),
             "PYTHONPATH": str(PROJECT), "GX_ANALYTICS_ENABLED": "false"},
    )  # fmt: skip
    assert "no network of its own" not in done.stderr
    told = json.loads(done.stdout)
    assert told, done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_work_and_nothing_else(role: str) -> None:
    policy = json.loads((PROJECT / "docker" / "policies" / f"{role}.json").read_text())
    allowed = [
        (action, resource.removeprefix("arn:aws:s3:::BUCKET").lstrip("/"))
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]
    assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])
    writes = {place for action, place in allowed if action == "s3:PutObject"}
    deletes = {place for action, place in allowed if action == "s3:DeleteObject"}
    reads = {place for action, place in allowed if action == "s3:GetObject"}
    assert role == "eraser" or all("checkpoints" in place or place == "store-probes/*" for place in deletes)
    if role == "sender":
        assert writes == {"incoming/PREFIX*"} == reads
    elif role in ("reader", "deployment"):
        assert writes == set()
        assert not any(place.startswith(("incoming", "validations", "register", "*")) for place in reads)
    elif role == "scheduler":
        assert writes == {"runs/*/stopped.json", "runs/*/failures/*", "run-index/*"}
    elif role == "eraser":
        of_the_bucket = {action for action, place in allowed if not place}
        assert of_the_bucket == {"s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning"}
    elif role == "reviewer":
        assert not any(place.startswith(("incoming", "validations", "features", "*")) for place in writes)
