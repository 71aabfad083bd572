"""Which certificates are trusted: one answer for boto3, for obstore, and for Airflow's API.

Proxies are those of the usual variables (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), for all three alike.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from ssl import SSLContext

VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def authority_file(settings: Settings) -> Path | None:
    """PNEUMO_CA_BUNDLE, else the first of the usual variables that is set; None: the system's authorities.

    BadConfiguration where that file is not there.
    """
    usual = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None)
    path = settings.ca_bundle or (Path(usual) if usual else None)
    if path is not None and not path.is_file():
        raise BadConfiguration(
            "the file of the trusted authorities is not there",
            where=str(path),
            do=f"Correct PNEUMO_CA_BUNDLE ({', '.join(VARIABLES)} where that is empty): a PEM file.",
        )
    if path is not None and b"-----BEGIN CERTIFICATE-----" not in path.read_bytes():
        raise BadConfiguration("the file of the trusted authorities holds no certificate", where=str(path))
    return path


def ssl_context(settings: Settings) -> "SSLContext | bool":
    """The same for httpx."""
    import ssl

    path = authority_file(settings)
    return ssl.create_default_context(cafile=str(path)) if path else True
