"""An example: a DAG that starts whenever the champion changes, and puts the model where a service reads it.

It needs nothing of Pneumo's DAGs but the name of the asset. Copy it into your DAGs folder. The event
says which version is the champion and its digest; the file is checked against both before the
service sees it, and a rollback is an event like any promotion.
"""

import os
from pathlib import Path

from airflow.sdk import Asset, Param, dag, task

CHAMPION = Asset(name="pneumo_champion", uri="pneumo://champion")


@task(retries=3)
def fetch_champion(triggering_asset_events=None, params=None) -> dict:
    """Download the version of the newest event, and move the link ``current.keras`` to it last."""
    from pneumo_tasks.errors import CorruptArtefact
    from pneumo_tasks.promotion.registry.versions import download_model
    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore

    events = [event for one in triggering_asset_events.values() for event in one]
    champion = max((event.extra for event in events), key=lambda extra: extra["seq"])
    folder = Path(params["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings.load()
    file = folder / f"{champion['version']}.keras"
    manifest = download_model(settings, ObjectStore.connect(settings), file, champion["version"]).manifest
    if manifest.sha256 != champion["sha256"]:
        raise CorruptArtefact(
            "the event and the registry disagree", where=champion["version"], found=manifest.sha256
        )
    link = folder / "current.keras"
    fresh = link.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(file.name)
    os.replace(fresh, link)  # readers see the old file or the new one
    return {"version": champion["version"], "threshold": champion["threshold"], "file": str(link)}


@dag(
    schedule=[CHAMPION],
    catchup=False,
    max_active_runs=1,
    tags=["example"],
    params={"folder": Param("/srv/pneumonia", type="string", description="Where the service looks")},
)
def deploy_champion() -> None:
    fetch_champion()


deployment = deploy_champion()
