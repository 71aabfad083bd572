"""Notices: none until a channel is set up; then by real SMTP, and by any notifier one names."""

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseHook, BaseNotifier
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied

from pneumo_airflow.notices import OTHER, run_is_late, send_notice

HOSTILE = "{{ conf.get('core', 'fernet_key') }} <script>alert(1)</script>"


class Recorder(BaseNotifier):
    """A notifier as an installation may bring its own."""

    template_fields = ("text",)
    heard: ClassVar[list[str]] = []

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:  # noqa: ARG002
        if "boom" in self.text:
            raise RuntimeError("the channel is broken")
        self.heard.append(self.text)


class Mailbox(socketserver.StreamRequestHandler):
    """As much of an SMTP server as a client needs."""

    received: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 mailbox\r\n")
        while line := self.rfile.readline():
            command = line.split()[0].upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.received.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
            if command == b"QUIT":
                return


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    Mailbox.received.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = {
            "conn_type": "smtp", "host": "127.0.0.1", "port": server.server_address[1],
            "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "pneumo@example.org",
                      "to": ["anna@example.org", "ben@example.org"]},
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_SMTP", json.dumps(connection))
        yield Mailbox.received
        server.shutdown()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    Recorder.heard.clear()
    named = {
        "class": f"{__name__}.Recorder",
        "arguments": {"text": "{{ notice_subject }}: {{ notice_text }}"},
    }
    monkeypatch.setenv(OTHER, json.dumps(named))
    return Recorder.heard


def test_nobody_is_told_until_a_channel_is_set_up() -> None:
    assert send_notice({}, "Pneumo: promoted", "all is well") == 0


def test_a_mail_says_what_happened_and_renders_nothing_that_others_wrote(mailbox: list[str]) -> None:
    assert send_notice({}, "Pneumo: rejected", HOSTILE, "http://airflow/pneumo/run?run_id=x") == 1
    (raw,) = mailbox
    mail = email.message_from_string(raw)
    assert mail["Subject"] == "Pneumo: rejected"
    assert mail["To"] == "anna@example.org, ben@example.org"
    (part,) = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    text = body.decode()
    assert "{{ conf.get(" in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert "http://airflow/pneumo/run?run_id=x" in text


def test_any_notifier_can_be_named(recorder: list[str]) -> None:
    assert send_notice({}, "Pneumo: promoted", HOSTILE) == 1
    assert recorder == [f"Pneumo: promoted: {HOSTILE}"]
    run_is_late({"dag_run": {"dag_run_id": "weekly_2026-11-22_03.00"}}, hours=12)
    assert recorder[-1].startswith("Pneumo: weekly_2026-11-22_03.00 is late: ")
    assert "within 12 hours" in recorder[-1]


def test_a_connection_that_airflow_does_not_show_silences_no_other_channel(
    recorder: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(name: str) -> None:
        raise AirflowSecretsBackendAccessDenied(f"Access denied for connection {name!r}")

    monkeypatch.setattr(BaseHook, "get_connection", deny)  # as in the process of a deadline alert
    assert send_notice({}, "Pneumo: late", "x") == 1
    assert recorder == ["Pneumo: late: x"]


def test_a_channel_that_fails_stops_nothing(
    recorder: list[str], mailbox: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert send_notice({}, "Pneumo: boom", "x") == 1  # the mail went out
    assert "no notice by PNEUMO_NOTIFIER" in caplog.text
    assert len(mailbox) == 1


class Webhook(BaseHTTPRequestHandler):
    """As much of Slack as a webhook is."""

    received: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: Any) -> None:
        """Silence: the test says enough."""


def test_slack_gets_the_text_and_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("airflow.providers.slack", reason="the Slack provider is not installed")
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = {
            "conn_type": "slackwebhook", "schema": "http", "host": f"127.0.0.1:{server.server_port}/services",
            "password": "T000/B000/x",
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_SLACK", json.dumps(connection))
        assert send_notice({}, "Pneumo: promoted", HOSTILE, "http://airflow/pneumo/") == 1
        server.shutdown()
    (message,) = Webhook.received
    assert message["text"] == f"*Pneumo: promoted*\n{HOSTILE}\nhttp://airflow/pneumo/"


@pytest.mark.parametrize(
    "given", ["{", "[]", '{"class": "no.such.Thing"}', '{"class": "os.system"}', '{"class": "sys.exit"}', "7"]
)
def test_a_wrong_notifier_stops_nothing_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    monkeypatch.setenv(OTHER, given)
    assert send_notice({}, "subject", "text") == 0
    assert "no notice by PNEUMO_NOTIFIER" in caplog.text


@pytest.mark.parametrize("address", ["http://chat.example/hook", "ftp://chat.example/x"])
def test_no_notice_leaves_the_machine_in_clear_unless_its_host_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    Recorder.heard.clear()
    described = {"class": f"{__name__}.Recorder", "arguments": {"text": address}}
    monkeypatch.setenv(OTHER, json.dumps(described))
    slack = {"conn_type": "slackwebhook", "host": address, "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_PNEUMO_SLACK", json.dumps(slack))
    assert send_notice({}, "subject", "text") == 0
    assert "a notice would go to" in caplog.text
    assert Recorder.heard == []
    monkeypatch.delenv("AIRFLOW_CONN_PNEUMO_SLACK")
    monkeypatch.setenv("PNEUMO_OPEN_HOSTS", "chat.example")
    assert send_notice({}, "subject", "text") == (1 if address.startswith("http:") else 0)


def test_a_chat_gets_no_mention_and_no_link_of_a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    Recorder.heard.clear()
    arguments = {"text": "{{ chat_text }}"}
    described = {"class": f"{__name__}.Recorder", "arguments": arguments}
    monkeypatch.setenv(OTHER, json.dumps(described))
    assert send_notice({}, "subject", "<!channel> see https://evil.example \x1b[31m") == 1
    (heard,) = Recorder.heard
    assert "<!channel>" not in heard
    assert "https://" not in heard
    assert "\x1b" not in heard
