"""The keys of a process: what it signs with, and whose signatures it believes.

A key is followed by another one by trusting both: what the former one signed stays verified.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings

_ONE_PEM = re.compile(r"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)


def signing_key(settings: Settings) -> Ed25519PrivateKey | None:
    """The key to sign with; None where none is set. BadConfiguration where it cannot be read."""
    given = settings.signing_key
    return None if given is None else _private_key(given.get_secret_value())


def trusted_keys(settings: Settings) -> tuple[Ed25519PublicKey, ...]:
    """The keys that the settings trust: those named, else the one that they sign with; empty: none."""
    if settings.trusted_key:
        return _public_keys(settings.trusted_key)
    signer = signing_key(settings)
    return (signer.public_key(),) if signer else ()


def refuse_untrusted(signer: Ed25519PrivateKey, trusted: Sequence[Ed25519PublicKey]) -> None:
    """BadConfiguration where nobody with these settings would believe what ``signer`` signs."""
    if signer.public_key() not in trusted:
        raise BadConfiguration(
            "the key to sign with is not among those that are trusted",
            do="Name it in PNEUMO_TRUSTED_KEY too, of every process, before anybody signs with it.",
        )


def fits(keys: Sequence[Ed25519PublicKey], signature: str, body: bytes) -> bool:
    """Whether ``signature`` (hex) is what the owner of one of ``keys`` made of ``body``."""
    return any(_fits(key, signature, body) for key in keys)


def _fits(key: Ed25519PublicKey, signature: str, body: bytes) -> bool:
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


def _public_keys(given: str) -> tuple[Ed25519PublicKey, ...]:
    """One, or several one after the other."""
    try:
        text = _pem(given).decode()
        return tuple(_public_key(pem) for pem in _ONE_PEM.findall(text) or [text])
    except (ValueError, OSError) as error:
        raise BadConfiguration("PNEUMO_TRUSTED_KEY cannot be read", found=type(error).__name__) from None


def _public_key(pem: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise BadConfiguration("PNEUMO_TRUSTED_KEY cannot be read", found=type(error).__name__) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadConfiguration("PNEUMO_TRUSTED_KEY is no Ed25519 key", found=type(key).__name__)
    return key


def _pem(given: str) -> bytes:
    return given.encode() if given.lstrip().startswith("-----BEGIN") else Path(given).read_bytes()
