"""Secrets never leave in words: every value that is one is taken out of logs, errors and records."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

# Names of variables whose values are secrets, whoever made them.
_NAMES = re.compile(
    r"(SECRET|PASSWORD|PASSWD|TOKEN|_KEY$|PRIVATE|CREDENTIAL|FERNET|AIRFLOW_CONN_|SALT|NOTIFIER)"
)
_PUBLIC = {"PNEUMO_TRUSTED_KEY"}
_IN_URL = re.compile(r"(?<=://)[^/@\s'\"]*:[^/@\s'\"]*(?=@)")
_IN_HEADER = re.compile(
    r"(?i)(x-amz-security-token|authorization|x-amz-signature|password|secret[a-z_]*)"
    r"(['\"]?\s*[:=]\s*b?['\"]?)(?:Bearer\s+|AWS4-HMAC-SHA256\s+)?[^\s'\",&}]+"
)
_SHORTEST = 8  # a shorter one would take words out of sentences
HIDDEN = "***"


def secret_values(environment: Mapping[str, str] | None = None) -> list[str]:
    """What must not be shown, the longest first: values of the environment whose names say so."""
    given = os.environ if environment is None else environment
    named = {value for name, value in given.items() if _NAMES.search(name) and name not in _PUBLIC}
    return sorted((value for value in named if len(value) >= _SHORTEST), key=len, reverse=True)


def without_secrets(text: str, known: Iterable[str] | None = None) -> str:
    """The text without any value of ``known`` (the environment's secrets), and without passwords in URLs."""
    for value in secret_values() if known is None else known:
        text = text.replace(value, HIDDEN)
    text = _IN_URL.sub(HIDDEN, text)
    return _IN_HEADER.sub(rf"\1\2{HIDDEN}", text)


class SecretFilter(logging.Filter):
    """Takes secrets out of a record: out of its message, its arguments and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = without_secrets(record.exc_text)
        return True


def guard_logging() -> None:
    """Put the filter before every handler that there is; one that is there already stays alone."""
    loggers = (logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict)))
    handlers = [handler for logger in loggers for handler in logger.handlers]
    for handler in (*handlers, *([logging.lastResort] if logging.lastResort else [])):
        if not any(isinstance(one, SecretFilter) for one in handler.filters):
            handler.addFilter(SecretFilter())


def url_fault(url: str) -> str | None:
    """Why a URL may not be a setting; never shows what stands in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "a URL begins with https:// (or http:// on this machine or in a network of your own)"
    if parts.username or parts.password or "@" in parts.netloc:
        return "credentials do not belong into a URL: use the variables or the connection for them"
    return None


def is_open_way(url: str) -> bool:
    """Whether anybody between here and there can read along: plain HTTP to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    """By its address, for a name that only begins like one leads anywhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_way_fault(url: str, hosts: str) -> str | None:
    """Why nothing of ours goes there in clear; ``hosts`` are those that may be reached so, by commas."""
    named = {host.strip().lower() for host in hosts.split(",") if host.strip()}
    if not is_open_way(url) or (urlsplit(url).hostname or "") in named:
        return None
    return (
        "http:// to another machine, where whoever is on the way reads along: use https://, or name the host "
        "in PNEUMO_OPEN_HOSTS where the network between is your own"
    )
