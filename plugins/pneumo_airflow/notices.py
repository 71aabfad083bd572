"""Notices to people: by mail, to Slack, or by any Airflow notifier. None is sent until one is set up.

| channel | turned on by |
|---|---|
| mail | a connection ``pneumo_smtp`` (type smtp), with ``to`` in its extra: one address or a list |
| Slack | a connection ``pneumo_slack`` (type slackwebhook) |
| any other | ``PNEUMO_NOTIFIER``: JSON with ``class`` and ``arguments``; ``{{ chat_text }}`` or, escaped by
|           | the template, ``{{ notice_text }}`` in them |

What a notice says may hold what a sender or a reviewer wrote. Notifiers render their fields as
templates, so it is handed to them as a value, never as a template.
"""

import importlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from airflow.sdk import BaseHook, BaseNotifier
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSecretsBackendAccessDenied

from pneumo_airflow.links import page_url
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.secret_values import open_way_fault
from pneumo_tasks.shown import for_chat, plain

SMTP, SLACK, OTHER = "pneumo_smtp", "pneumo_slack", "PNEUMO_NOTIFIER"
_SUBJECT_LETTERS = 120
_MAIL = "<p>{{ notice_text | e }}</p><p><a href='{{ notice_url | e }}'>{{ notice_url | e }}</a></p>"

log = logging.getLogger(__name__)


def send_notice(context: Mapping[str, Any], subject: str, text: str, url: str = "") -> int:
    """Tell everybody who is set up to be told; returns how many channels took it.

    A channel that fails is logged and never stops the run.
    """
    told = 0
    subject, text = plain(subject)[:_SUBJECT_LETTERS], plain(text)
    facts = {**context, "notice_subject": subject, "notice_text": text, "notice_url": url}
    facts |= {"chat_subject": for_chat(subject), "chat_text": for_chat(text)}
    for channel, make in _channels():
        try:
            make()(facts)
        except (Exception, SystemExit):  # a class of others may end in anything
            log.exception("no notice by %s: %s", channel, subject)
        else:
            told += 1
    return told


def _channels() -> Iterator[tuple[str, Callable[[], BaseNotifier]]]:
    """Who is set up to be told; each is made where its failure is caught, and stops no other."""
    if (smtp := _connection(SMTP)) is not None:
        yield SMTP, partial(_mail, smtp)
    if (slack := _connection(SLACK)) is not None:
        yield SLACK, partial(_slack, slack)
    if os.environ.get(OTHER):
        yield OTHER, partial(_other, os.environ[OTHER])


def _mail(smtp: Any) -> BaseNotifier:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        smtp_conn_id=SMTP,
        to=smtp.extra_dejson.get("to"),
        subject="{{ notice_subject }}",
        html_content=_MAIL,
    )


def _slack(slack: Any) -> BaseNotifier:
    _refuse_open_ways(
        [f"{slack.schema or 'https'}://{slack.host}" if "://" not in str(slack.host) else slack.host]
    )
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    return SlackWebhookNotifier(
        slack_webhook_conn_id=SLACK,
        text="*{{ chat_subject }}*\n{{ chat_text }}\n{{ notice_url }}",
        unfurl_links=False,
        unfurl_media=False,
    )


def _other(described: str) -> BaseNotifier:
    try:
        given = json.loads(described)
    except ValueError:  # whose message quotes the setting, which may hold a password
        raise BadConfiguration(f"{OTHER} is no JSON", do="See docs/reviewing.md.") from None
    arguments = given.get("arguments", {})
    _refuse_open_ways(arguments.values())
    module, _, name = given["class"].rpartition(".")
    notifier: BaseNotifier = getattr(importlib.import_module(module), name)(**arguments)
    return notifier


def _refuse_open_ways(places: Iterable[Any]) -> None:
    """BadConfiguration where a notice would leave the machine in clear; no place is repeated."""
    hosts = os.environ.get("PNEUMO_OPEN_HOSTS", "")
    for place in (place for place in places if isinstance(place, str)):
        fault = open_way_fault(place, hosts)
        if place.startswith(("ftp://", "ftps://")):
            fault = "an address of FTP: use https://"
        if fault:
            raise BadConfiguration(f"a notice would go to {fault}", do="See docs/reviewing.md.")


def _connection(name: str) -> Any:
    """The connection; None where it is not set up, or not shown to this process.

    Airflow shows the process of a deadline alert only those of the environment (``AIRFLOW_CONN_…``).
    """
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None
    except AirflowSecretsBackendAccessDenied as error:
        log.warning("no notice by %s from here: %s", name, error)
        return None


class ApprovalNotice(BaseNotifier):
    """Tells that a run waits for a person, with the way to the answer."""

    def __init__(self, subject: str) -> None:
        super().__init__()
        self.subject = subject

    def notify(self, context: Any) -> None:
        """Send it; a channel that fails stops nothing."""
        try:
            url = context["task"].generate_link_to_ui_from_context(context=context)
        except ValueError as error:  # no [api] base_url is set: the question is asked all the same
            log.warning("the notice has no address: %s", error)
            url = ""
        send_notice(context, self.subject, f"{context['run_id']} waits for an answer.", url)


def run_is_late(context: Mapping[str, Any] | None = None, hours: float = 0.0) -> None:
    """Deadline alert: the run was queued so many hours ago and has not ended."""
    run_id = str(((context or {}).get("dag_run") or {}).get("dag_run_id", "a run"))
    text = f"{run_id} was to end within {hours:g} hours and goes on: look at its tasks."
    log.warning(text)
    send_notice(context or {}, f"Pneumo: {run_id} is late", text, page_url("run", run_id=run_id))
