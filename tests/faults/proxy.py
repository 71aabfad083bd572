"""A proxy in front of an S3 server that damages what passes through it, as a rule tells it.

A rule sees each request and names a fault for it, or None. A fault is a function of the exchange: it may ask
the server, change the answer, send a part of it, or break the connection.
"""

import http.client
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_OWN = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """The key of the object in a path-style URL; empty for the bucket itself."""
        return unquote(self.target.partition("?")[0]).lstrip("/").partition("/")[2]

    @property
    def query(self) -> str:
        return unquote(self.target.partition("?")[2])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    length: int | None = None  # what it says about its body, where that is not the truth

    def without(self, name: str) -> Self:
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() != name.lower()))

    def changed(self, name: str, value: str) -> Self:
        return replace(self.without(name), headers=(*self.without(name).headers, (name, value)))


class Exchange:
    """One request, its connection, and the way to the server."""

    def __init__(self, request: Request, connection: socket.socket, upstream: tuple[str, int]) -> None:
        self.request, self.connection, self.upstream = request, connection, upstream
        self.open = True

    def ask(self, request: Request | None = None) -> Answer:
        """What the server answers to the request, or to another one in its place."""
        wanted = request or self.request
        server = http.client.HTTPConnection(*self.upstream, timeout=300)
        try:
            server.putrequest(wanted.method, wanted.target, skip_host=True, skip_accept_encoding=True)
            for name, value in wanted.headers.items():
                if name.lower() not in {"connection", "expect", "keep-alive"}:
                    server.putheader(name, value)
            server.endheaders(wanted.body or None)
            got = server.getresponse()
            kept = tuple((name, value) for name, value in got.getheaders() if name.lower() not in _OWN)
            told = got.headers["Content-Length"]
            length = int(told) if wanted.method == "HEAD" and told else None
            return Answer(got.status, kept, got.read(), length)
        finally:
            server.close()

    def send(self, answer: Answer, most: int | None = None) -> None:
        """Send an answer, of its body at most so many bytes; the head always tells of all of it."""
        length = len(answer.body) if answer.length is None else answer.length
        lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in answer.headers)]
        if answer.status != 204:
            lines.append(f"Content-Length: {length}")
        head = "\r\n".join([*lines, "", ""]).encode("latin1")
        self.connection.sendall(head + answer.body[: len(answer.body) if most is None else most])

    def close(self) -> None:
        self.open = False

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.open = False


Fault = Callable[[Exchange], None]
Rule = Callable[[Request], Fault | None]


@dataclass
class Proxy:
    """The running proxy. ``rule`` and ``endpoint``, where its server is, may be changed at any time.

    ``seen`` and ``faults`` count what passed. A server that is away is a connection that ends.
    """

    endpoint: str
    rule: Rule | None = None
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def start(self) -> "Proxy":
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def upstream(self) -> tuple[str, int]:
        server = urlsplit(self.endpoint)
        return server.hostname or "127.0.0.1", server.port or 80

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        exchange = Exchange(request, self.connection, self.proxy.upstream)
        fault = self.proxy.rule(request) if self.proxy.rule else None
        name = getattr(fault, "__name__", "fault") if fault else ""
        self.proxy.seen.append((request.method, request.key or request.query, name))
        try:
            if fault:
                self.proxy.faults[name] += 1
                fault(exchange)
            else:
                exchange.send(exchange.ask())
        except (OSError, http.client.HTTPException):
            exchange.close()
        self.close_connection = not exchange.open

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Tests say nothing."""


# ---- faults ----------------------------------------------------------------------------------


def reset_before(exchange: Exchange) -> None:
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    """The request was applied, and its answer is lost."""
    exchange.ask()
    exchange.reset()


def head_only(exchange: Exchange) -> None:
    exchange.send(exchange.ask(), most=0)
    exchange.close()


def half_then_closed(exchange: Exchange) -> None:
    answer = exchange.ask()
    exchange.send(answer, most=len(answer.body) // 2)
    exchange.close()


def half_then_reset(exchange: Exchange) -> None:
    answer = exchange.ask()
    exchange.send(answer, most=len(answer.body) // 2)
    time.sleep(0.05)
    exchange.reset()


def shortened(exchange: Exchange) -> None:
    """Half of the body, and a Content-Length that fits it."""
    answer = exchange.ask()
    exchange.send(replace(answer, body=answer.body[: len(answer.body) // 2]))


def flipped(exchange: Exchange) -> None:
    """One bit pattern in the middle of the body changed, otherwise as the server sent it."""
    answer = exchange.ask()
    exchange.send(replace(answer, body=flip(answer.body)))


def flipped_on_the_way_up(exchange: Exchange) -> None:
    exchange.send(exchange.ask(replace(exchange.request, body=flip(exchange.request.body))))


def login_page(exchange: Exchange) -> None:
    page = b"<html><body>Please log in to the hospital network<br></body></html>"
    exchange.send(Answer(200, (("Content-Type", "text/html"),), page))


def error_in_200(exchange: Exchange) -> None:
    exchange.send(_error(200, "InternalError"))


def nothing_in_200(exchange: Exchange) -> None:
    exchange.send(Answer(200, (), b""))


def empty_page(exchange: Exchange) -> None:
    """A whole and well-formed listing of nothing: a lie that only a second question finds."""
    name = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    page = f"{_XML}{name}<IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"
    exchange.send(Answer(200, (("Content-Type", "application/xml"),), page.encode()))


def other_names(exchange: Exchange) -> None:
    """A well-formed listing in which a name has another digit: nothing but a second question finds it."""
    answer = exchange.ask()
    exchange.send(replace(answer, body=answer.body.replace(b"3", b"7")))


def no_time(exchange: Exchange) -> None:
    """A well-formed listing whose minutes are none: "12:76:22"."""
    answer = exchange.ask()
    exchange.send(replace(answer, body=re.sub(rb"T(\d\d):\d\d:", rb"T\1:76:", answer.body)))


def no_time_in_the_header(exchange: Exchange) -> None:
    exchange.send(exchange.ask().changed("Last-Modified", "Fri, 27 Nov 2026 12:76:22 GMT"))


def without_etag(exchange: Exchange) -> None:
    exchange.send(exchange.ask().without("ETag"))


def weak_etag(exchange: Exchange) -> None:
    answer = exchange.ask()
    exchange.send(answer.changed("ETag", f"W/{dict(answer.headers).get('ETag', '')}"))


def without_metadata_and_flipped(exchange: Exchange) -> None:
    answer = exchange.ask()
    for name, _ in answer.headers:
        if re.match(r"x-amz-(meta|checksum)-", name, re.I):
            answer = answer.without(name)
    exchange.send(replace(answer, body=flip(answer.body)))


def refused(status: int, code: str, message: str = "the server's own words") -> Fault:
    def refusal(exchange: Exchange) -> None:
        exchange.send(_error(status, code, message))

    refusal.__name__ = code
    return refusal


def applied_then_refused(status: int, code: str) -> Fault:
    """The request was applied, and the answer says that it was not."""

    def refusal(exchange: Exchange) -> None:
        exchange.ask()
        exchange.send(_error(status, code))

    refusal.__name__ = f"applied_then_{code}"
    return refusal


def delayed(seconds: float) -> Fault:
    def delay(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.send(exchange.ask())

    return delay


# ---- rules -----------------------------------------------------------------------------------


def always(fault: Fault, match: Callable[[Request], bool] = lambda _: True) -> Rule:
    return lambda request: fault if match(request) else None


def once(fault: Fault, match: Callable[[Request], bool] = lambda _: True, times: int = 1) -> Rule:
    """The fault for the first requests that match, and none afterwards."""
    left, lock = [times], threading.Lock()

    def rule(request: Request) -> Fault | None:
        with lock:
            if not left[0] or not match(request):
                return None
            left[0] -= 1
            return fault

    return rule


def reads_of(key: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "GET" and request.key.endswith(key)


def listings_of(prefix: str) -> Callable[[Request], bool]:
    return lambda request: "list-type=2" in request.query and f"prefix={prefix}" in request.query


def writes_of(key: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and request.key.endswith(key)


def flip(body: bytes) -> bytes:
    changed = bytearray(body)
    if changed:
        changed[len(changed) // 2] ^= 0x55
    return bytes(changed)


def _error(status: int, code: str, message: str = "") -> Answer:
    text = f"{_XML}<Error><Code>{code}</Code><Message>{message or code}</Message></Error>"
    return Answer(status, (("Content-Type", "application/xml"),), text.encode())
