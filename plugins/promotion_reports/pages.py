"""The routes: every one asks for the UI's login and for the permission to read runs of our DAG."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from pneumo_airflow import DAG_ID, connection_settings, open_store
from pneumo_tasks import layout
from pneumo_tasks.errors import BadConfiguration, ObjectMissing, PneumoError
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from pneumo_tasks.object_store import ObjectStore

# Our pages and reports hold no script; what a batch name smuggles in is not run either.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; "
        "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)

app = FastAPI(
    title="Promotion reports",
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))],
    docs_url=None,  # these three routes would not ask for a login
    redoc_url=None,
    openapi_url=None,
)


def page(template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """Render one of our templates; everything in ``facts`` is escaped."""
    body = templates.get_template(template).render(**facts)
    return HTMLResponse(body, status_code=status, headers=SECURITY_HEADERS)


def notice(status: int, title: str, text: str) -> HTMLResponse:
    return page("notice.html", status, title=title, text=text)


def bucket() -> "ObjectStore":
    return open_store(Settings.load(connection_settings()))


@app.exception_handler(PneumoError)
def explain(_: object, error: PneumoError) -> HTMLResponse:
    """Tell the reader what is wrong instead of a bare 500."""
    return notice(503, "The reports cannot be read now", str(error))


@app.get("/")
def index() -> HTMLResponse:
    """All runs, the newest first, with the champion marked."""
    from pneumo_tasks.promotion.registry import champion_summary
    from pneumo_tasks.promotion.runs import list_runs

    store = bucket()
    return page("index.html", runs=list_runs(store), champion=champion_summary(store))


@app.get("/run")
def run(run_id: str, dag_id: str = DAG_ID) -> HTMLResponse:
    """What became of one run, with its report; also the tab of a run of any other DAG."""
    from pneumo_tasks.promotion.runs import show_run

    if dag_id != DAG_ID:
        return notice(404, "No promotion report", f"Runs of {dag_id} make none; those of {DAG_ID} do.")
    store = bucket()
    try:
        key = layout.run(run_id, "report.html")
        found = show_run(store, run_id)
    except (BadConfiguration, ObjectMissing):
        return notice(404, "No such run", f"Nothing is recorded of the run {run_id}.")
    return page("run.html", run=found, has_report=store.exists(key))


@app.get("/report")
def report(run_id: str) -> HTMLResponse:
    """The report of one run, as it was written."""
    try:
        body = bucket().read(layout.run(run_id, "report.html"))
    except (BadConfiguration, ObjectMissing):
        return notice(404, "No report", f"The run {run_id} has written no report.")
    return HTMLResponse(body, headers=SECURITY_HEADERS)
