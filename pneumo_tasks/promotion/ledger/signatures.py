"""Ed25519 signatures over JSON documents: manifests, protocols, decisions, and entries of the ledger.

A manifest holds the digest of every file of its version. A ledger entry holds the digest of the manifest, of
the decision (and so of the protocol, of the evaluation and of all that this names), and of the entry before
it: whoever signs an entry signs the whole history behind it.
"""

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, ObjectMissing
from pneumo_tasks.sealing.keys import fits, refuse_untrusted, signing_key, trusted_keys
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

SignatureState = Literal["verified", "signed", "unsigned"]


class Signature(BaseModel):
    """models/<version>/manifest.sig.json; both fields are hex."""

    model_config = ConfigDict(frozen=True)

    public_key: str
    signature: str


def sign_stored(settings: Settings, store: ObjectStore, key: str) -> None:
    """Sign the document at ``key`` as it is stored, where a key is set; the first signature stays."""
    signature = None if settings.signing_key is None else sign_document(settings, key, store.read(key))
    if signature is not None:
        store.put_once(layout.signature_of(key), signature)


def sign_again(settings: Settings, store: ObjectStore, key: str, body: bytes) -> None:
    """Sign ``body`` as the document at ``key``, in place of whoever did before: a person has looked at it."""
    signature = sign_document(settings, key, body)
    if signature is not None:
        store.put(layout.signature_of(key), signature)


def signer_of(settings: Settings, store: ObjectStore, key: str) -> str:
    """The public key, in hex, that the signature of a document fits; empty where it has none.

    CorruptArtefact where it is no trusted one.
    """
    if not store.exists(layout.signature_of(key)):
        return ""
    check_stored(settings, store, key)
    return Signature.model_validate_json(store.read(layout.signature_of(key))).public_key


def sign_document(settings: Settings, key: str, body: bytes) -> bytes | None:
    """The signature document for the bytes of the object at ``key``, None where no key is set.

    BadConfiguration where the key cannot be read, or signatures are required and there is none.
    """
    signer = signing_key(settings)
    if signer is None:
        if settings.require_signature:
            raise BadConfiguration(
                "signatures are required, but there is no key to sign with",
                where=key,
                do="Set PNEUMO_SIGNING_KEY, or the password of the Airflow connection pneumo_signing.",
            )
        return None
    refuse_untrusted(signer, trusted_keys(settings))
    signature = Signature(
        public_key=signer.public_key().public_bytes_raw().hex(), signature=signer.sign(body).hex()
    )
    return canonical_json(signature.model_dump())


def check_signature(settings: Settings, store: ObjectStore, version: str) -> SignatureState:
    """What the signature of a version's manifest is worth; see ``check_document``."""
    return check_stored(settings, store, layout.model(version, "manifest.json"))


def check_stored(settings: Settings, store: ObjectStore, key: str) -> SignatureState:
    """What the signature of the document at ``key`` is worth; see ``check_document``."""
    return check_document(settings, store, key, store.read(key))


def check_document(settings: Settings, store: ObjectStore, key: str, body: bytes) -> SignatureState:
    """``verified`` by a trusted key; ``signed``, consistently, where no key is trusted.

    CorruptArtefact where the signature does not fit ``body`` or is another key's, and where it is missing
    although signatures are required: by the settings, or because they trust a key. BadConfiguration where
    they are required of anybody: whoever can write to the bucket could sign.
    """
    trusted = trusted_keys(settings)
    if not trusted and settings.require_signature:
        raise BadConfiguration(
            "signatures are required, but no key is trusted",
            where=key,
            do="Set PNEUMO_TRUSTED_KEY to the public key.",
        )
    where = layout.signature_of(key)
    try:
        signature = Signature.model_validate_json(store.read(where))
    except ObjectMissing:
        if settings.require_signature or settings.trusted_key:
            raise CorruptArtefact(
                "the document is not signed",
                where=where,
                do="Use one that is signed. What was made before there was a key: `pneumo models sign`.",
            ) from None
        return "unsigned"
    if trusted and signature.public_key not in {key.public_bytes_raw().hex() for key in trusted}:
        raise CorruptArtefact("signed by a key that is not trusted", where=where)
    signer = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.public_key))
    if not fits((signer,), signature.signature, body):
        raise CorruptArtefact("the signature does not fit", where=where)
    return "verified" if trusted else "signed"
