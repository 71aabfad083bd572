"""What keeps neighbours out of a SeaweedFS server: its inner doors ask for certificates and tokens.

The S3 door asks for credentials. Master, volume server and filer talk to each other by ports of their own,
and without this those would read and write any object for whoever can reach them.
"""

import datetime
import secrets
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS = datetime.timedelta(days=3650)
_PARTS = ("volume", "master", "filer", "s3", "client")
_TOKENS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


def write_security(folder: Path) -> None:
    """security.toml, where the server looks for it, with keys and certificates of this folder alone."""
    config = folder / "security.toml"
    if config.exists():
        return
    authority = ec.generate_private_key(ec.SECP256R1())
    ca = _signed(authority, authority, "pneumo local", authority=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key, authority, "pneumo local s3")
    _private(folder / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
    _private(folder / "inner.pem", certificate.public_bytes(serialization.Encoding.PEM))
    _private(
        folder / "inner.key",
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    lines = [f'[{name}]\nkey = "{secrets.token_hex(32)}"\n' for name in _TOKENS]
    lines.append(f'[grpc]\nca = "{folder / "ca.pem"}"\n')
    pair = f'cert = "{folder / "inner.pem"}"\nkey = "{folder / "inner.key"}"\n'
    lines += [f"[grpc.{part}]\n{pair}" for part in _PARTS]
    _private(config, "".join(lines).encode())


def _signed(
    key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, name: str, authority: bool = False
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pneumo local")])
    addresses = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(addresses, critical=False)
    )
    if not authority:
        made = made.add_extension(both, critical=False)
    return made.sign(by, hashes.SHA256())


def _private(path: Path, body: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(body)
