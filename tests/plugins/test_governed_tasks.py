"""Every task of a run asks for the protocol, by whichever door its params came."""

import io
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from pneumo_airflow.stages import CLOSING_TASK, DAG_ID, opened
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.sealing.guard import Guard
from pneumo_tasks.storage.object_store import ObjectStore
from tests.promotion.keys import key_pair
from tests.promotion.protocol.test_governing import IN_THE_FORM, LOOSER, bare  # noqa: F401


def context(params: dict[str, Any], task: str = "discover_batches", kind: str = "manual") -> dict[str, Any]:
    """What Airflow gives a task of a run of this kind; ``params`` is the conf, laid over the DAG's own."""
    return {
        "run_id": f"{kind}__1",
        "params": dict.fromkeys(IN_THE_FORM) | params,
        "ti": SimpleNamespace(dag_id=DAG_ID, task_id=task, map_index=-1, try_number=1),
        "dag_run": SimpleNamespace(triggering_user_name=None, run_type=kind),
    }


@pytest.mark.parametrize("kind", ["manual", "backfill", "scheduled"])
@pytest.mark.parametrize("name", IN_THE_FORM)
def test_a_looser_param_stops_the_first_task_of_any_kind_of_run(
    bare: ObjectStore,  # noqa: F811
    kind: str,
    name: str,
) -> None:
    agreed, looser = LOOSER[name]
    with pytest.raises(BadConfiguration, match=f"{name} is {looser}, the protocol says {agreed}"):
        opened(context({name: looser}, kind=kind))
    assert show_run(bare, f"{kind}__1").stages == []


def test_a_later_task_on_a_worker_with_a_looser_environment_is_stopped_too(
    bare: ObjectStore,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert opened(context({"min_recall": 0.97})).run.settings.min_recall == 0.97
    monkeypatch.setenv("PNEUMO_MIN_AUC", "0.1")
    with pytest.raises(BadConfiguration, match=r"min_auc is 0.1, the protocol says 0.6"):
        opened(context({}, "evaluate_candidate"))
    opened(context({}, CLOSING_TASK))  # it says why the run ended, and judges nothing


def test_a_task_takes_secrets_out_of_what_libraries_log(
    bare: ObjectStore,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "canary-7f3a9c-canary")
    said = io.StringIO()
    logger, handler = logging.getLogger("a library that logs its headers"), logging.StreamHandler(said)
    logger.addHandler(handler)
    try:
        opened(context({}))
        logger.warning("header: canary-7f3a9c-canary")
    finally:
        logger.removeHandler(handler)
    assert said.getvalue() == "header: ***\n"


def test_every_task_of_a_run_seals_evidence_with_the_key_of_the_connection(
    bare: ObjectStore,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private, _ = key_pair()
    connection = {"conn_type": "generic", "password": private.get_secret_value()}
    monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_SIGNING", json.dumps(connection))
    run = opened(context({})).run
    assert isinstance(run.store.guard, Guard)
    assert isinstance(run.open_store().guard, Guard)
    assert run.settings.signing_key is None, "only who decides or promotes signs"
