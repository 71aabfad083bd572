"""Timetables whose runs have names that a person recognises."""

from datetime import UTC, datetime
from typing import Any

from airflow.timetables.simple import NullTimetable
from airflow.timetables.trigger import CronTriggerTimetable

_KINDS = {"manual": "by-hand"}


class NamedRuns:
    """``weekly_2026-11-22_03.00``, ``by-hand_2026-11-25_15.30.07-412``: how it began, and when (UTC)."""

    scheduled = "weekly"

    def generate_run_id(self, *, run_type: Any, run_after: datetime, **_: Any) -> str:
        kind, moment = str(run_type.value), run_after.astimezone(UTC)
        called = self.scheduled if kind == "scheduled" else _KINDS.get(kind, kind)
        name = f"{called}_{moment:%Y-%m-%d_%H.%M}"
        return name if kind == "scheduled" else f"{name}{moment:.%S}-{moment.microsecond // 1000:03d}"


class WeeklyRuns(NamedRuns, CronTriggerTimetable):
    """At the moments of a cron expression."""


class DailyRuns(WeeklyRuns):
    """At the moments of a cron expression, of which there are many: ``daily_2026-11-22_06.00``."""

    scheduled = "daily"


class RunsOnRequest(NamedRuns, NullTimetable):
    """Never by itself."""
