"""The plugin that Airflow loads: puts the promotion reports into its navigation and its runs."""

from airflow.plugins_manager import AirflowPlugin

from promotion_reports.pages import app

PREFIX = "pneumo"


class PneumoPlugin(AirflowPlugin):
    """Links are relative, so that they hold below any base path of the API server."""

    name = "pneumo"
    fastapi_apps = [{"app": app, "url_prefix": f"/{PREFIX}", "name": "Promotion reports"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Reports",
            "href": f"{PREFIX}/",
            "destination": "nav",
            "url_route": "promotion-reports",
            "nav_top_level": True,
        },
        {
            "name": "Report",
            "href": f"{PREFIX}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "promotion-report",
        },
    ]
