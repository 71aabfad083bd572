"""The plugin that Airflow loads: report pages, the check of triggers, names and notes of runs."""

from airflow.plugins_manager import AirflowPlugin

from pneumo_airflow import run_notes
from pneumo_airflow.form import TriggerCheck
from pneumo_airflow.form_bounds import FormBounds
from pneumo_airflow.links import NAVIGATION, PAGES
from pneumo_airflow.reports.pages import app
from pneumo_airflow.timetables import DailyRuns, RunsOnRequest, WeeklyRuns


class PneumoPlugin(AirflowPlugin):
    """Links are relative, so that they hold below any base path of the API server."""

    name = "pneumo"
    fastapi_apps = [{"app": app, "url_prefix": f"/{PAGES}", "name": "Promotion reports"}]  # noqa: RUF012
    fastapi_root_middlewares = [  # noqa: RUF012
        {"middleware": TriggerCheck, "name": "Check of triggers"},
        {"middleware": FormBounds, "name": "Bounds of the form"},
    ]
    timetables = [WeeklyRuns, DailyRuns, RunsOnRequest]  # noqa: RUF012
    listeners = [run_notes]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Reports",
            "href": f"{PAGES}/",
            "destination": "nav",
            "url_route": NAVIGATION,
            "nav_top_level": True,
        },
        {
            "name": "Report",
            "href": f"{PAGES}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "promotion-report",
        },
    ]
