from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.utils.types import DagRunType

from pneumo_airflow.stages import started_by
from pneumo_airflow.timetables import RunsOnRequest, WeeklyRuns
from pneumo_tasks.storage.layout import run_key

MOMENT = datetime(2026, 11, 25, 15, 30, 7, 412_600, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize("timetable", [WeeklyRuns("0 3 * * 0", timezone="UTC"), RunsOnRequest()])
def test_a_run_is_named_by_how_it_began_and_when(timetable: WeeklyRuns | RunsOnRequest) -> None:
    sunday = datetime(2026, 11, 22, 3, tzinfo=UTC)
    weekly = timetable.generate_run_id(run_type=DagRunType.SCHEDULED, run_after=sunday, data_interval=None)
    assert weekly == "weekly_2026-11-22_03.00"
    by_hand = timetable.generate_run_id(run_type=DagRunType.MANUAL, run_after=MOMENT, data_interval=None)
    assert by_hand == "by-hand_2026-11-25_13.30.07-412"
    for name in (weekly, by_hand):
        assert run_key(name) == name  # the bucket knows it by the same name
        assert DagRunType.from_run_id(name) == DagRunType.MANUAL  # so Airflow reserves it for nobody


def test_airflow_can_store_the_timetables(airflow_app: object) -> None:
    for timetable in (WeeklyRuns("0 3 * * 0", timezone="UTC"), RunsOnRequest()):
        assert type(decode_timetable(encode_timetable(timetable))) is type(timetable)


@pytest.mark.parametrize(
    ("kind", "person", "said"),
    [("manual", "anna", "anna"), ("scheduled", None, "the schedule"),
     ("asset_triggered", None, "batch 2026-W46, 2026-W47"),
     ("backfill", None, "backfill")],
)  # fmt: skip
def test_who_started_a_run_is_told(kind: str, person: str | None, said: str) -> None:
    events = [SimpleNamespace(extra={"batch_id": name}) for name in ("2026-W47", "2026-W46")]
    run = SimpleNamespace(
        run_type=DagRunType(kind), triggering_user_name=person, consumed_asset_events=events
    )
    assert started_by({"dag_run": run}) == said
