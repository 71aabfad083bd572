"""Telling Airflow that a batch has arrived, so that a run starts before the week is over."""

from typing import TYPE_CHECKING

from pneumo_tasks.errors import BadConfiguration, PneumoError
from pneumo_tasks.intake.batches import Batch
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from pneumo_tasks.local.airflow_client import AirflowClient

ASSET = "pneumo_batch"  # as plugins/pneumo_airflow/assets.py names it


def find_airflow(settings: Settings) -> "AirflowClient":
    """The Airflow of the settings, else that of `make demo`; BadConfiguration where there is neither."""
    from pneumo_tasks.local.airflow_client import AirflowClient
    from pneumo_tasks.local.stack import Place

    if settings.airflow_url and settings.airflow_user and settings.airflow_password:
        password = settings.airflow_password.get_secret_value()
        return AirflowClient(settings.airflow_url, settings.airflow_user, password)
    place = Place()
    stack = place.read()
    if stack is None or not stack.is_running():
        raise BadConfiguration(
            "no Airflow to announce the batch to",
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
