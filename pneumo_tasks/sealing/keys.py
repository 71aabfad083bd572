"""The keys of a process: what it signs with, and whose signature it believes."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings


def signing_key(settings: Settings) -> Ed25519PrivateKey | None:
    """The key to sign with; None where none is set. BadConfiguration where it cannot be read."""
    given = settings.signing_key
    return None if given is None else _private_key(given.get_secret_value())


def trusted_key(settings: Settings) -> Ed25519PublicKey | None:
    """The key that the settings trust: the one named, else the one that they sign with."""
    if settings.trusted_key:
        return _public_key(settings.trusted_key)
    signer = signing_key(settings)
    return signer.public_key() if signer else None


def fits(key: Ed25519PublicKey, signature: str, body: bytes) -> bool:
    """Whether ``signature`` (hex) is what the owner of ``key`` made of ``body``."""
    try:
        key.verify(bytes.fromhex(signature), body)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(given: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(_pem(given), password=None)
    except (ValueError, TypeError, OSError) as error:
        # Never the value itself: it may be the key.
        raise BadConfiguration("PNEUMO_SIGNING_KEY cannot be read", found=type(error).__name__) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadConfiguration("PNEUMO_SIGNING_KEY is no Ed25519 key", found=type(key).__name__)
    return key


def _public_key(given: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(_pem(given))
    except (ValueError, TypeError, OSError) as error:
        raise BadConfiguration("PNEUMO_TRUSTED_KEY cannot be read", found=type(error).__name__) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadConfiguration("PNEUMO_TRUSTED_KEY is no Ed25519 key", found=type(key).__name__)
    return key


def _pem(given: str) -> bytes:
    return given.encode() if given.lstrip().startswith("-----BEGIN") else Path(given).read_bytes()
