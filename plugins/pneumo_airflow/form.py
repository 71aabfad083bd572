"""The trigger form: one param for each setting a run may choose, and what no single field can refuse.

Airflow checks each param by its own schema. Params that contradict each other, and names that are
no params, are refused here before Airflow makes a run of them, with the message that the first
stage would give.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from airflow.sdk import Param

from pneumo_airflow.stages import DAG_ID, connection_settings
from pneumo_tasks.errors import BadConfiguration, PneumoError
from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS, LOOSER
from pneumo_tasks.settings import RUN_SECTIONS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.training.recipes import RECIPES, check_request

AUGMENTATIONS = {
    "none": "none",
    "article": "article: turned and mirrored copies of the rarer class",
    "crops": "crops: a part of every film, its sides cut independently, at another exposure",
    "shifts": "shifts: every film moved and zoomed a little, at another exposure",
    "variety": "variety: a part of every film, at another exposure and with another texture",
}

TITLES = {
    "force": "Train even if nothing is new",
    "backbone_weights": "Backbone weights",
    "seed": "Random seed",
    "head_epochs": "Epochs of the head",
    "fine_tune_epochs": "Epochs of fine-tuning",
    "min_auc": "Floor on AUC",
    "min_recall": "Floor on recall",
    "min_precision": "Floor on precision",
    "target_recall": "Target recall",
    "recall_margin": "Recall that may be lost",
    "precision_margin": "Precision that may be lost",
    "sideways": "Name of a sideways step",
    "require_approval": "A person has to approve",
}

MOST_BYTES = 2**20  # of a trigger; Airflow itself would parse any number
_RULES = ("type", "minimum", "maximum", "exclusiveMinimum", "pattern", "enum", "items")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def run_params(settings: Settings) -> dict[str, Param]:
    """The params in their sections: same default, type, range and help as the settings.

    What a protocol governs is empty: then the protocol's value holds, whatever it is by then.
    """
    schema = Settings.model_json_schema()["properties"]
    return {
        name: _param(name, None if name in DIRECTIONS else getattr(settings, name), schema[name], section)
        for section, names in RUN_SECTIONS.items()
        for name in names
    }


def check_params(params: Mapping[str, Any]) -> None:
    """Refuse (BadConfiguration) params that no run can do; the store is not asked."""
    check_request(Settings.for_run(params), params)


def _param(name: str, value: Any, schema: Mapping[str, Any], section: str) -> Param:
    choices = schema.get("anyOf", [schema])
    rules = {key: choice[key] for choice in choices for key in _RULES if key in choice and key != "type"}
    kinds = [choice["type"] for choice in choices]
    if value in ("", (), None) and "null" not in kinds:
        kinds.append("null")  # or the form asks for something, and its button stays grey
    rules["type"] = kinds if len(kinds) > 1 else kinds[0]
    if name == "recipe":
        rules |= {"enum": list(RECIPES), "values_display": {r.name: r.summary for r in RECIPES.values()}}
    if name == "augmentation":
        shown = {"null": "what the recipe says", **AUGMENTATIONS}
        rules |= {"enum": [None, *AUGMENTATIONS], "values_display": shown}
    if name == "threshold_policy":
        shown = {"null": "what the protocol says", **{policy: policy for policy in rules["enum"]}}
        rules |= {"enum": [None, *rules["enum"]], "values_display": shown}
    if name == "class_weights":
        rules["examples"] = ["none", "ratio", "balanced", "3:1"]
    return Param(
        list(value) if isinstance(value, tuple) else None if value == "" else value,
        title=TITLES.get(name, name.replace("_", " ").capitalize()),
        description=schema["description"],
        section=section,
        **rules,
    )


class TriggerCheck:
    """ASGI middleware of the API server: answers 400 to a trigger of our DAG that no run can do."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        if not _triggers_our_dag(scope):
            await self.app(scope, receive, send)
            return
        messages = await _received(receive)
        if messages is None:
            said = f"a trigger has at most {MOST_BYTES} bytes: name batches by a run's param `batches`"
            await JSONResponse({"detail": said}, 413)(scope, receive, send)
            return
        if await may_trigger(scope):  # Airflow refuses the others, and tells them nothing
            body = b"".join(message.get("body", b"") for message in messages)
            problem = _problem(body) or await run_in_threadpool(_loosened, body)
            if problem:
                await JSONResponse({"detail": problem}, 400)(scope, receive, send)
                return
        pending = iter(messages)

        async def again() -> Message:
            return next(pending, None) or await receive()

        await self.app(scope, again, send)


def _triggers_our_dag(scope: Mapping[str, Any]) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    return bool(scope["path"].rstrip("/").endswith(f"/api/v2/dags/{DAG_ID}/dagRuns"))


async def _received(receive: Receive) -> list[Message] | None:
    """The whole body, before anybody parses it; None as soon as it is larger than any trigger is."""
    messages, size = [await receive()], 0
    while (size := size + len(messages[-1].get("body", b""))) <= MOST_BYTES:
        if not messages[-1].get("more_body"):
            return messages
        messages.append(await receive())
    return None


async def may_trigger(scope: MutableMapping[str, Any]) -> bool:
    """Whether Airflow knows the caller and lets them start runs of our DAG."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.api_fastapi.core_api.security import resolve_user_from_token
    from airflow.models.dag import DagModel
    from fastapi import HTTPException
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request

    request = Request(scope)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    token = given if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN)
    try:
        user = await resolve_user_from_token(token)
    except (HTTPException, ValueError, LookupError, TypeError):  # Airflow says itself what is wrong with it
        return False

    def asked() -> bool:
        details = DagDetails(id=DAG_ID, team_name=DagModel.get_team_name(DAG_ID))
        manager = get_auth_manager()
        entity = DagAccessEntity.RUN
        return bool(
            manager.is_authorized_dag(method="POST", access_entity=entity, details=details, user=user)
        )

    return await run_in_threadpool(asked)


def _problem(body: bytes) -> str:
    try:
        asked = json.loads(body)
        if run_id := asked.get("dag_run_id"):
            layout.check_run_id(run_id)
        check_params(asked.get("conf") or {})
    except BadConfiguration as error:
        return str(error)
    except (ValueError, AttributeError, TypeError):
        return ""  # not what Airflow takes: it says so itself
    return ""


def _loosened(body: bytes) -> str:
    """What in a request loosens the protocol; empty too where the bucket cannot say: the run asks again."""
    from pneumo_airflow.reports.pages import bucket
    from pneumo_tasks.promotion.protocol.governing import check_run

    try:
        conf = json.loads(body).get("conf") or {}
        check_run(Settings.for_run(conf, connection_settings()), bucket())
    except BadConfiguration as error:
        return str(error) if error.what == LOOSER else ""
    except (PneumoError, ValueError, AttributeError, TypeError):
        return ""
    return ""
