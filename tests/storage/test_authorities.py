"""A store and an Airflow behind a private authority: trusted by all ways alike, or by none."""

import contextlib
import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pneumo_tasks.commands.announcing import find_airflow
from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.authorities import VARIABLES
from pneumo_tasks.storage.object_reader import ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore


@dataclass(frozen=True)
class Certificates:
    authority: Path
    server: Path


Signer = tuple[x509.Name, ec.EllipticCurvePrivateKey]


def _signed(name: str, by: Signer | None) -> tuple[bytes, x509.Name, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = by or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
    return certificate.public_bytes(serialization.Encoding.PEM), subject, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority, name, key = _signed("the hospital's authority", None)
    server, _, server_key = _signed("localhost", (name, key))
    private = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found = Certificates(folder / "authority.pem", folder / "server.pem")
    found.authority.write_bytes(authority)
    found.server.write_bytes(server + private)
    return found


@contextlib.contextmanager
def behind_tls(target: str, certificates: Certificates) -> Iterator[str]:
    """The address of a door that speaks TLS, and hands on what it hears to ``target``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    door = socket.create_server(("127.0.0.1", 0))
    host, port = urlsplit(target).hostname, urlsplit(target).port

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = door.accept()
                with contextlib.suppress(OSError):
                    heard = context.wrap_socket(raw, server_side=True)
                    behind = socket.create_connection((host, port))
                    for pair in ((heard, behind), (behind, heard)):
                        threading.Thread(target=pass_on, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://localhost:{door.getsockname()[1]}"
    door.close()


@pytest.fixture
def hidden(
    settings: Settings, store: ObjectStore, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """The settings of the same bucket, behind the private authority."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    store.put("film", b"1")
    with behind_tls(settings.s3_endpoint or "", certificates) as address:
        yield settings.model_copy(update={"s3_endpoint": address})


@pytest.mark.parametrize("variable", ["setting", *VARIABLES])
def test_one_variable_lets_both_ways_to_the_store_trust_it(
    hidden: Settings, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    own = hidden
    if variable == "setting":
        own = hidden.model_copy(update={"ca_bundle": certificates.authority})
    else:
        monkeypatch.setenv(variable, str(certificates.authority))
    assert ObjectStore.connect(own).read("film") == b"1"
    fast = ObjectReader.connect(own)._fast("film")
    assert fast is not None, "read the slow way"
    assert fast.body == b"1"


def test_an_authority_that_nobody_named_is_trusted_by_neither(hidden: Settings) -> None:
    with pytest.raises(StorageUnavailable, match=r"(?i)certificate"):
        ObjectStore.connect(hidden).read("film")
    assert ObjectReader.connect(hidden)._fast("film") is None


def test_a_proxy_is_asked_by_both_ways_and_no_proxy_by_neither(
    settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("film", b"1")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageUnavailable):
        ObjectStore.connect(settings).read("film")
    assert ObjectReader.connect(settings)._fast("film") is None
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert ObjectStore.connect(settings).read("film") == b"1"
    assert ObjectReader.connect(settings)._fast("film") is not None


def test_announcing_trusts_the_same_authority(
    settings: Settings, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Airflow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"import_errors": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with behind_tls(f"http://127.0.0.1:{server.server_port}", certificates) as address:
        for name, value in (("URL", address), ("USER", "u"), ("PASSWORD", "p")):
            monkeypatch.setenv(f"PNEUMO_AIRFLOW_{name}", value)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
        assert find_airflow(Settings.load()).import_errors() == []
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(StorageUnavailable, match="CERTIFICATE"):
            find_airflow(Settings.load()).import_errors()
    server.shutdown()


def test_a_file_that_holds_no_certificate_is_named(settings: Settings, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("hello")
    for path in (empty, tmp_path / "nowhere.pem"):
        own = settings.model_copy(update={"ca_bundle": path})
        with pytest.raises(BadConfiguration, match=path.name):
            ObjectStore.connect(own).read("film")
