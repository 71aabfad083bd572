"""The routes: every one asks for the UI's login and for the permission to read runs of our DAG."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import jinja2
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from starlette.exceptions import HTTPException as AnyHTTPException

from pneumo_airflow.ended_runs import as_airflow_says
from pneumo_airflow.reports.chart import draw_chart
from pneumo_airflow.reports.listing import Listing, arrange
from pneumo_airflow.reports.weeks import matrix_facts, watch_facts
from pneumo_airflow.stages import DAG_ID, ROLLBACK_DAG_ID, connection_settings, open_store
from pneumo_tasks.errors import BadConfiguration, ObjectMissing, PneumoError
from pneumo_tasks.settings import Settings
from pneumo_tasks.shown import for_html
from pneumo_tasks.storage import layout

if TYPE_CHECKING:
    from pneumo_tasks.promotion.runs.index import RunIndex
    from pneumo_tasks.storage.object_store import ObjectStore

# A reader may have chosen another theme in Airflow than in the system: only a script can know.
THEME = Path(__file__).with_name("theme.js").read_text()
THEME_DIGEST = base64.b64encode(hashlib.sha256(THEME.encode()).digest()).decode()

# Documents hold no script; our pages hold this one, and what a batch name smuggles in is not run.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    finalize=for_html,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals |= {
    "dag_id": DAG_ID,
    "rollback_dag_id": ROLLBACK_DAG_ID,
    "theme": Markup(THEME),  # noqa: S704 (a file of ours)
}
templates.filters |= {
    "figure": lambda value: "–" if value is None else f"{value:.3f}",
    "points": lambda value: "–" if value is None else f"{value * 100:+.1f}",
    "moment": lambda text: (text or "–")[:16].replace("T", " "),
}

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
    policy = f"{POLICY}; script-src 'sha256-{THEME_DIGEST}'"
    return HTMLResponse(
        body, status_code=status, headers={**SECURITY_HEADERS, "Content-Security-Policy": policy}
    )


def document(body: bytes, theme: str) -> HTMLResponse:
    """A report or a datasheet as it was written; ``theme`` where the reader chose one in Airflow."""
    if theme:
        dark = b"all" if theme == "dark" else b"not all"
        body = body.replace(b"@media (prefers-color-scheme: dark)", b"@media " + dark)
        body = body.replace(b"color-scheme: light dark", b"color-scheme: " + theme.encode())
    policy = f"{POLICY}; sandbox"  # also where somebody opens it alone: no script, no form, no cookie of ours
    return HTMLResponse(body, headers={**SECURITY_HEADERS, "Content-Security-Policy": policy})


def notice(status: int, title: str, text: str) -> HTMLResponse:
    return page("notice.html", status, title=title, text=text)


def bucket() -> "ObjectStore":
    return _connected(Settings.load(connection_settings()))


@lru_cache(maxsize=2)
def _connected(settings: Settings) -> "ObjectStore":
    return open_store(settings)  # a tenth of a second that a page need not wait for


@lru_cache(maxsize=1)
def run_index() -> "RunIndex":
    from pneumo_tasks.promotion.runs.index import RunIndex

    return RunIndex()


def known_run(run_id: str = "") -> str:
    """The id that leads to the folder of a run; 404 where none can."""
    from pneumo_tasks.promotion.runs.runs import stored_as

    return stored_as(bucket(), _checked(run_id, layout.run_key, "run"))


def known_version(version: str = "") -> str:
    return _checked(version, layout.model, "version")


def known_batch(batch_id: str = "") -> str:
    return _checked(batch_id, layout.incoming, "batch")


def _checked(value: str, check: Any, kind: str) -> str:
    try:
        check(value)
    except BadConfiguration:
        raise HTTPException(404, f"There is no such {kind}.") from None
    return value


RunId = Annotated[str, Depends(known_run)]
Version = Annotated[str, Depends(known_version)]
BatchId = Annotated[str, Depends(known_batch)]
Theme = Literal["", "light", "dark"]


@app.exception_handler(AnyHTTPException)
def tell(_: object, error: AnyHTTPException) -> HTMLResponse:
    """Refusals of the login keep their status; all are pages, for a person reads them."""
    titles = {401: "Please log in", 403: "You may not read this", 404: "Not found"}
    return notice(error.status_code, titles.get(error.status_code, "Not possible"), str(error.detail))


@app.exception_handler(RequestValidationError)
def refuse(_: object, error: RequestValidationError) -> HTMLResponse:
    del error  # it repeats what was sent
    return notice(400, "Not possible", "A part of the address is missing or has another form.")


@app.exception_handler(ObjectMissing)
def missing(_: object, error: ObjectMissing) -> HTMLResponse:
    return notice(404, "Not found", str(error))


@app.exception_handler(PneumoError)
def explain(_: object, error: PneumoError) -> HTMLResponse:
    """Tell the reader what is wrong instead of a bare 500."""
    return notice(503, "The reports cannot be read now", str(error))


@app.get("/")
def index(listing: Annotated[Listing, Query()]) -> HTMLResponse:
    """All runs, filtered and sorted as asked, recall and precision over time, the champion marked."""
    store = bucket()
    runs = as_airflow_says(run_index().read(store))
    champion, problem = _champion(store)
    shown = arrange(runs, listing)
    chart = Markup(draw_chart([run for run in reversed(runs) if run.figures]))  # noqa: S704 (numbers alone)
    return page("index.html", runs=shown, listing=listing, champion=champion, problem=problem, chart=chart)


@app.get("/compare")
def compare(run: Annotated[list[str], Query(default_factory=list)]) -> HTMLResponse:
    """Two runs side by side."""
    from pneumo_tasks.promotion.report.comparison import compare_runs

    if len(run) != 2:
        return notice(400, "Choose two runs", f"{len(run)} were chosen: tick two in the list.")
    first, second = (known_run(one) for one in run)
    rows = compare_runs(bucket(), first, second)
    return page("compare.html", first=first, second=second, rows=rows)


@app.get("/run")
def show(run_id: str = "", dag_id: str = DAG_ID) -> HTMLResponse:
    """What became of one run, with its report; also the tab of a run of any other DAG."""
    from pneumo_tasks.promotion.runs.runs import show_run

    if dag_id != DAG_ID:
        return notice(404, "No promotion report", f"Runs of {dag_id} make none; those of {DAG_ID} do.")
    store = bucket()
    stored = known_run(run_id)
    (found,) = as_airflow_says([show_run(store, stored)])
    champion, _ = _champion(store)
    has_report = store.exists(layout.run(stored, "report.html"))
    return page("run.html", run=found, has_report=has_report, champion=champion)


@app.get("/report")
def report(run_id: RunId, theme: Theme = "") -> HTMLResponse:
    """The report of one run, as it was written."""
    return document(bucket().read(layout.run(run_id, "report.html")), theme)


@app.get("/model")
def model(version: Version) -> HTMLResponse:
    """The model card of one registered version, its digest checked."""
    from markdown_it import MarkdownIt

    from pneumo_tasks.promotion.registry.champion import read_manifest

    store = bucket()
    manifest = read_manifest(store, version)
    card = store.read_verified(layout.model(version, "model_card.md"), manifest.files["model_card.md"])
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(card.decode())
    return page("model.html", manifest=manifest, card=Markup(rendered))  # noqa: S704 (html is off)


@app.get("/ledger")
def ledger() -> HTMLResponse:
    """Every decision about the champion, the newest first; read whole, so a broken chain is told."""
    from pneumo_tasks.promotion.registry.history import read_history

    return page("ledger.html", chapters=read_history(bucket())[::-1])


@app.get("/protocol")
def protocol() -> HTMLResponse:
    """What has to hold for a promotion, who decided so and when, and what is left of the error budget."""
    from pneumo_tasks.promotion.deciding.steps import past_askings
    from pneumo_tasks.promotion.protocol.activation import history
    from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS
    from pneumo_tasks.promotion.protocol.governing import holding

    store = bucket()
    active = holding(Settings.load(connection_settings()), store)
    said = {"floor": "at least", "ceiling": "at most", "fixed": "always", "on": "never switched off"}
    limits = [
        {"name": name, "value": value, "direction": said[DIRECTIONS[name]]}
        for name, value in active.protocol.effective_limits().items()
    ]
    askings = past_askings(store, but="")
    return page("protocol.html", active=active, limits=limits, history=history(store)[::-1], askings=askings)


@app.get("/matrix")
def matrix() -> HTMLResponse:
    """Every kept version on every data set that it was not trained on, as a heat map."""
    return page("matrix.html", **matrix_facts(bucket()))


@app.get("/watch")
def watch() -> HTMLResponse:
    """What the outcomes say of the champion, and what was answered to its alarms."""
    return page("watch.html", **watch_facts(bucket()))


@app.get("/batch")
def batch(batch_id: BatchId, theme: Theme = "") -> HTMLResponse:
    """The datasheet of one batch, as it was written."""
    from pneumo_tasks.intake.records.withdrawals import read_datasheet

    return document(read_datasheet(bucket(), batch_id), theme)


def _champion(store: "ObjectStore") -> tuple[Any, str]:
    """The champion, or what is wrong with it: the runs are shown all the same."""
    from pneumo_tasks.promotion.registry.champion import read_champion

    try:
        return read_champion(store), ""
    except (PneumoError, ValueError) as error:
        return None, str(error)
