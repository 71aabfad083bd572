"""Jinja templates of the report and the model card; what a text holds is markup in neither."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pneumo_tasks.shown import for_html, for_markdown


def render(template: str, **context: Any) -> str:
    """Fill one of the package's templates; a name the context lacks is an error, not a blank."""
    return _environment(template.endswith(".html")).get_template(template).render(**context)


def figure(value: float | None, digits: int = 3) -> str:
    """A number as the reports print it; an undefined one as a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def _in_markdown(value: object) -> object:
    """Texts are nobody's markup; what a filter made is a number or ours."""
    return for_markdown(value) if isinstance(value, str) else value


@cache
def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("pneumo_tasks.promotion.texts"),
        autoescape=html,  # noqa: S701 - Markdown has its own way out
        finalize=for_html if html else _in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure, "duration": duration}
    return environment
