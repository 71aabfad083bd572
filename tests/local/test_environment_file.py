import stat
import subprocess
from pathlib import Path

import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local.environment_file import isolated, read_environment, write_environment

VALUES = {"PNEUMO_BUCKET": "pneumo", "SPACED": "two words", "JSON": '{"a": "b $HOME"}', "EMPTY": ""}


def test_a_shell_and_pneumo_read_the_same_values(tmp_path: Path) -> None:
    write_environment(tmp_path / "env", VALUES)
    assert read_environment(tmp_path / "env") == VALUES
    script = f'set -a; . "{tmp_path}/env"; printf "%s\\n" "$PNEUMO_BUCKET" "$SPACED" "$JSON" "$EMPTY"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env={})
    assert said.stdout.splitlines() == list(VALUES.values())


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("old")
    (tmp_path / "env").chmod(0o644)
    write_environment(tmp_path / "env", VALUES)
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


@pytest.mark.parametrize("value", ["it's", "two\nlines", "back\\slash"])
def test_a_value_that_a_shell_would_read_differently_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadConfiguration, match="FOLDER"):
        write_environment(tmp_path / "env", {"FOLDER": value})
    assert not (tmp_path / "env").exists()


def test_no_file_is_no_environment(tmp_path: Path) -> None:
    assert read_environment(tmp_path / "env") == {}


def test_the_callers_store_and_airflow_are_kept_away_and_local_addresses_from_the_proxy() -> None:
    kept = isolated(
        {
            "AWS_ACCESS_KEY_ID": "theirs",
            "AIRFLOW__CORE__EXECUTOR": "theirs",
            "PNEUMO_S3_ENDPOINT": "theirs",
            "PNEUMO_BUCKET": "theirs",
            "PNEUMO_SEED": "3",
            "NO_PROXY": "intranet",
        }
    )
    assert kept == {
        "PNEUMO_SEED": "3",
        "NO_PROXY": "intranet,127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
