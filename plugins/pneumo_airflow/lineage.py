"""OpenLineage facets: what a run decided, on which data and by which figures.

Used where Airflow's OpenLineage provider is installed and
``AIRFLOW__OPENLINEAGE__CUSTOM_RUN_FACETS`` names ``pneumo_airflow.lineage.run_facets`` (docs/reviewing.md).
Without the provider nothing here is imported.
"""

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from pneumo_airflow.stages import DAG_ID, connection_settings, open_store
from pneumo_tasks.errors import PneumoError
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from openlineage.client.facet_v2 import RunFacet

log = logging.getLogger(__name__)

# What a task has just written of the run's outcome.
TELLING_TASKS = ("decide_promotion", "promote_model", "close_run")


def run_facets(task_instance: Any, ti_state: Any) -> "dict[str, RunFacet] | None":
    """The facet ``pneumo_promotion`` of the tasks that settle something; None for all other tasks."""
    if task_instance.dag_id != DAG_ID or task_instance.task_id not in TELLING_TASKS:
        return None
    if str(getattr(ti_state, "value", ti_state)) == "running":
        return None
    from pneumo_tasks.promotion.runs.runs import show_run

    try:
        run = show_run(open_store(Settings.load(connection_settings())), task_instance.run_id)
    except PneumoError as error:
        log.warning("no lineage facet: %s", error)
        return None
    figures = run.figures
    return {
        "pneumo_promotion": _facet()(
            decision=run.decision or run.state,
            reason=run.reason,
            version=run.version,
            champion=run.champion,
            snapshot=run.snapshot_id,
            images=run.data.images if run.data else None,
            recall=figures.recall if figures else None,
            precision=figures.precision if figures else None,
        )
    }


@cache
def _facet() -> Any:
    import attrs
    from openlineage.client.facet_v2 import RunFacet

    @attrs.define(kw_only=True)
    class PneumoPromotionRunFacet(RunFacet):
        decision: str
        reason: str
        version: str | None
        champion: str | None
        snapshot: str | None
        images: int | None
        recall: float | None
        precision: float | None

    return PneumoPromotionRunFacet
