"""Jinja templates of the report and the model card; HTML is escaped, Markdown is not."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def render(template: str, **context: Any) -> str:
    """Fill one of the package's templates; a name the context lacks is an error, not a blank."""
    return _environment().get_template(template).render(**context)


def figure(value: float | None, digits: int = 3) -> str:
    """A number as the reports print it; an undefined one as a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pneumo_tasks.promotion.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure, "duration": duration}
    return environment
