"""The protocol's values in the trigger form: bounds that the form keeps, put in when it is opened.

Airflow makes the form of what it knew when it read the DAG file, and no DAG file reads a bucket. The API
server does: it answers the form's own question with the protocol that holds now.
"""

import json
from collections.abc import MutableMapping
from typing import Any

from pneumo_airflow.form import App, Message, Receive, Send
from pneumo_airflow.stages import DAG_ID, connection_settings
from pneumo_tasks.errors import PneumoError
from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS
from pneumo_tasks.settings import Settings

_SAID = {"floor": "at least", "ceiling": "at most", "fixed": "always"}
_LIMIT = {"floor": "minimum", "ceiling": "maximum"}


class FormBounds:
    """ASGI middleware of the API server: the details of our DAG hold the protocol's bound of each param."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if not _asks_for_the_form(scope):
            await self.app(scope, receive, send)
            return
        from starlette.concurrency import run_in_threadpool

        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self.app({**scope, "headers": plain}, receive, keep)
        start, body = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
        if start.get("status") == 200:
            body = await run_in_threadpool(with_bounds, body)
        others = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await send({**start, "headers": [*others, length]})
        await send({"type": "http.response.body", "body": body})


def with_bounds(body: bytes) -> bytes:
    """The details of the DAG with a bound and a sentence for each governed param, or as it was."""
    from pneumo_airflow.reports.pages import bucket
    from pneumo_tasks.promotion.protocol.governing import holding

    try:
        active = holding(Settings.load(connection_settings()), bucket())
        details = json.loads(body)
        params = details.get("params") or {}
        limits = active.protocol.effective_limits()
        for name in limits.keys() & params.keys():
            _bind(name, limits[name], params[name], "the default" if active.embedded else active.digest[:12])
    except (PneumoError, ValueError, KeyError, TypeError, AttributeError):
        return body
    return json.dumps(details).encode()


def _bind(name: str, value: Any, param: dict[str, Any], protocol: str) -> None:
    direction, schema = DIRECTIONS[name], param["schema"]
    if limit := _LIMIT.get(direction):
        schema[limit] = value
    shown = str(value).lower() if isinstance(value, bool) else value
    bound = f"{_SAID[direction]} {shown}" if direction in _SAID else "always on" if value else "on or off"
    said = f"{param.get('description') or ''}. Protocol ({protocol}): {bound}; left empty: the protocol's"
    param["description"] = said
    if "description" in schema:
        schema["description"] = said


def _asks_for_the_form(scope: MutableMapping[str, Any]) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    return bool(scope["path"].rstrip("/").endswith(f"/api/v2/dags/{DAG_ID}/details"))
