"""An Airflow of the tests' own: its environment has to stand before Airflow is imported anywhere."""

import os
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def prepare() -> None:
    """Point Airflow at an empty home and our DAGs; nothing of the caller's Airflow counts.

    The plugin comes by the entry point of the installed package.
    """
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="pneumo-airflow-")
    os.environ.update(
        AIRFLOW_HOME=home,
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="admin:admin,vera:viewer",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
        AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
        AIRFLOW__API_AUTH__JWT_SECRET="of the tests alone " * 4,
    )
