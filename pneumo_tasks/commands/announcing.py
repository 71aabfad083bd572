"""Telling Airflow that a batch or outcomes have arrived, so that a run starts before its time."""

from typing import TYPE_CHECKING

from pneumo_tasks.errors import BadConfiguration, PneumoError
from pneumo_tasks.intake.sent.batches import Batch
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from pneumo_tasks.local.airflow_client import AirflowClient

ASSET, OUTCOMES = "pneumo_batch", "pneumo_outcomes"  # as plugins/pneumo_airflow/assets.py names them


def find_airflow(settings: Settings) -> "AirflowClient":
    """The Airflow of the settings, else that of `make demo`; BadConfiguration where there is neither."""
    from pneumo_tasks.local.airflow_client import AirflowClient
    from pneumo_tasks.local.stack import Place
    from pneumo_tasks.storage.authorities import ssl_context

    if settings.airflow_url and settings.airflow_user and settings.airflow_password:
        password = settings.airflow_password.get_secret_value()
        return AirflowClient(settings.airflow_url, settings.airflow_user, password, ssl_context(settings))
    place = Place()
    stack = place.read()
    if stack is None or not stack.is_running():
        raise BadConfiguration(
            "no Airflow to announce it to",
            do="Set PNEUMO_AIRFLOW_URL, PNEUMO_AIRFLOW_USER and PNEUMO_AIRFLOW_PASSWORD.",
        )
    return place.client(stack)


def announce_batch(airflow: "AirflowClient", batch: Batch) -> None:
    """Send the event; an error says that the batch itself is safe."""
    try:
        airflow.announce(
            ASSET, {"batch_id": batch.batch_id, "images": batch.images, "created_at": batch.created_at}
        )
    except PneumoError as error:
        raise BadConfiguration(
            f"batch {batch.batch_id} is uploaded, but was not announced: {error}",
            do="Nothing is lost: the next weekly run takes it. Or trigger the DAG by hand.",
        ) from error


def announce_outcomes(airflow: "AirflowClient", seq: int, rows: int) -> None:
    """Send the event of an import; an error says that the import itself is safe."""
    try:
        airflow.announce(OUTCOMES, {"seq": seq, "rows": rows})
    except PneumoError as error:
        raise BadConfiguration(
            f"import {seq} is written, but was not announced: {error}",
            do="Nothing is lost: the next daily watch takes it. Or trigger the DAG by hand.",
        ) from error
