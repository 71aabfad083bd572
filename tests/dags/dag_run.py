"""Run as a script: one run of a DAG in this process. Airflow's home, the params as JSON, the DAG's id."""

import json
import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def main(home: str, params: str, dag_id: str = "pneumonia_retraining") -> None:
    """Print the id of the run last; Airflow prints before it."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        del os.environ[name]
    Path(home).mkdir(parents=True, exist_ok=True)
    os.environ.update(
        AIRFLOW_HOME=home,
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        PNEUMO_LATE_HOURS="0",  # nobody watches deadlines in this process
    )
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils import db

    db.initdb()
    folder = PROJECT / "dags"
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    print(bag.dags[dag_id].test(run_conf=json.loads(params)).run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
