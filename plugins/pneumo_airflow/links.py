"""Links from a task to the pages about what it made."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf
from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.decorator import task_decorator_factory

PAGES = "pneumo"
NAVIGATION = "promotion-reports"


def page_url(page: str, **query: str) -> str:
    """The address of one of our pages inside Airflow's own, below its base path; the query is escaped."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"{base}/plugin/{NAVIGATION}/{PAGES}/{page}{'?' if asked else ''}{asked}"


class ReportLink(BaseOperatorLink):
    """To the report of the run."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        return page_url("run", run_id=ti_key.run_id)


class DatasheetLink(BaseOperatorLink):
    """To the datasheet of the batch that a mapped task validated."""

    name = "Datasheet"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        return page_url("batch", batch_id=str(operator.op_kwargs["batch_id"]))


class _ReportingOperator(_PythonDecoratedOperator):
    operator_extra_links = (ReportLink(),)


class _BatchOperator(_PythonDecoratedOperator):
    operator_extra_links = (DatasheetLink(),)


def reporting_task(**arguments: Any) -> Callable[..., Any]:
    """``@task`` with a link to the report."""
    decorator: Callable[..., Any] = task_decorator_factory(
        decorated_operator_class=_ReportingOperator, **arguments
    )
    return decorator


def batch_task(**arguments: Any) -> Callable[..., Any]:
    """``@task`` with a link to the datasheet of its ``batch_id``."""
    decorator: Callable[..., Any] = task_decorator_factory(
        decorated_operator_class=_BatchOperator, **arguments
    )
    return decorator
