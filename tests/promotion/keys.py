"""A key to sign with, and the key to check by."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr


def key_pair() -> tuple[SecretStr, str]:
    private = Ed25519PrivateKey.generate()
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    return (
        SecretStr(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, none).decode()),
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
    )
