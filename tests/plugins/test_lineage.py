from types import SimpleNamespace

import pytest

from pneumo_airflow.lineage import run_facets
from pneumo_airflow.stages import DAG_ID
from pneumo_tasks.promotion.moving.settling import settle
from pneumo_tasks.settings import Settings
from tests.evaluation.story import Story
from tests.promotion.judging import judge


def task(task_id: str, run_id: str = "first", dag_id: str = DAG_ID) -> SimpleNamespace:
    return SimpleNamespace(dag_id=dag_id, task_id=task_id, run_id=run_id)


def test_tasks_that_settle_nothing_have_no_facet(environment: None) -> None:
    assert run_facets(task("train_head"), "success") is None
    assert run_facets(task("close_run", dag_id="other"), "success") is None
    assert run_facets(task("promote_model"), "running") is None


def test_a_promotion_is_a_facet_that_openlineage_can_send(settings: Settings, story: Story) -> None:
    serde = pytest.importorskip("openlineage.client.serde", reason="OpenLineage is not installed")
    settled = settle(settings, story.store, judge(settings, story, "first"))
    facets = run_facets(task("promote_model"), "success")
    assert facets is not None
    sent = serde.Serde.to_dict(facets["pneumo_promotion"])
    assert (sent["decision"], sent["version"], sent["images"]) == ("promoted", settled.version, 308)
    assert sent["recall"] > 0.9
    assert run_facets(task("promote_model", "nobody knows it"), "success") is None
