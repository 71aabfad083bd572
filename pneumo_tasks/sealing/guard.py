"""The guard of a store: with a key, evidence is sealed when it is written and checked whenever it is read.

Every object of evidence carries a seal, a signature over its key, its sha256 and the last entry of the tally
that its writer knew; the tally counts it. So another body, another place, an object of somebody without the
key, a deleted one and a cut tally are refused, whoever reads and whatever for: no reader can forget to ask.
"""

import logging
import random
import re
import threading
import time
from collections.abc import Iterable, Mapping
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    CorruptArtefact,
    ObjectMissing,
    StorageUnavailable,
)
from pneumo_tasks.sealing.evidence import is_evidence, may_hold_evidence
from pneumo_tasks.sealing.keys import fits, refuse_untrusted, signing_key, trusted_keys
from pneumo_tasks.sealing.tally import ENTRIES, GONE, Tally, is_sealed, read_on, read_tally
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.guarding import Unguarded
from pneumo_tasks.storage.numbered import sum_up
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.proven_reads import Received

log = logging.getLogger(__name__)

SEAL = "seal"  # the name of the metadata
_FORM = re.compile(r"([0-9]{1,8})-([0-9a-f]{128})")
_ATTEMPTS = 100
_RESTORE = "Restore it from a backup. Nothing that rests on it can be said."


def guard_of(settings: Settings) -> Unguarded:
    """The guard of a process with a key, to sign with or to trust, or of one without."""
    return Guard(settings) if settings.signing_key is not None or settings.trusted_key else Keyless()


class Keyless(Unguarded):
    """The guard of a process without a key: it leaves no evidence where readers ask for a seal."""

    def __init__(self) -> None:
        self._sealed: bool | None = None

    def before_write(self, store: ObjectStore, key: str, digest: str, *, absent: bool) -> Mapping[str, str]:
        """Nothing to write beside the object; BadConfiguration where the evidence of the bucket is sealed.

        That is asked once, before the first evidence that is written through this guard.
        """
        if is_evidence(key):
            if self._sealed is None:
                self._sealed = is_sealed(store)
            if self._sealed:
                raise BadConfiguration(
                    "the evidence of this bucket is sealed, and there is no key to seal with",
                    where=key,
                    do="Set PNEUMO_SIGNING_KEY, or the password of the connection pneumo_signing; or end it: "
                    "`pneumo models end-signing`.",
                )
        return super().before_write(store, key, digest, absent=absent)


class Guard(Unguarded):
    """Remembers what it read of the tally, and reads on; one for all threads of a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.RLock()
        self._tally: Tally | None = None

    @cached_property
    def _signer(self) -> Ed25519PrivateKey | None:
        return signing_key(self._settings)

    @cached_property
    def _trusted(self) -> tuple[Ed25519PublicKey, ...]:
        return trusted_keys(self._settings)

    def known(self, store: ObjectStore) -> Tally:
        """The tally as it was read last."""
        with self._lock:
            if self._tally is None:
                self._tally = read_tally(store, self._trusted)
            return self._tally

    def today(self, store: ObjectStore) -> Tally:
        """The tally as it stands."""
        with self._lock:
            fresh, tally = self._tally is None, self.known(store)
            if not fresh:
                read_on(store, tally, self._trusted)
            return tally

    def head(self, store: ObjectStore) -> str | None:
        """``NUMBER@DIGEST`` of the last entry, for the ledger; None before the first."""
        tally = self.today(store)
        return f"{tally.seq}@{tally.head}" if tally.seq else None

    # ---- writing -------------------------------------------------------------------------

    def before_write(self, store: ObjectStore, key: str, digest: str, *, absent: bool) -> Mapping[str, str]:
        """The seal of what is about to be written at ``key``, as metadata.

        BadConfiguration where there is no key to sign with. CorruptArtefact where an object that must be
        ``absent`` is so because somebody deleted it: it is not made anew, with other content.
        """
        if not is_evidence(key):
            return {}
        if self._signer is None:
            raise BadConfiguration(
                "this process trusts a key, and has none to seal evidence with",
                where=key,
                do="Set PNEUMO_SIGNING_KEY, or the password of the Airflow connection pneumo_signing.",
            )
        refuse_untrusted(self._signer, self._trusted)
        tally = self.today(store)
        if absent and tally.of(key) not in (None, GONE, digest):
            store.read(key)
        return {SEAL: f"{tally.seq}-{self._signer.sign(_sealed(key, digest, tally.seq)).hex()}"}

    def after_write(self, store: ObjectStore, key: str, digest: str) -> None:
        if is_evidence(key):
            self.count(store, {key: digest})

    def before_delete(self, store: ObjectStore, key: str) -> None:
        """Count the object as rightly gone, where it was counted."""
        if is_evidence(key) and self.today(store).of(key):
            self.count(store, {key: GONE})

    def count(self, store: ObjectStore, objects: Mapping[str, str], *, take_over: bool = False) -> None:
        """Append to the tally what it does not say yet.

        ``take_over``: also nothing, where its last entry is of another key. Then ours vouches for all of it.
        """
        if self._signer is None:
            raise BadConfiguration("there is no key to sign with", do="Set PNEUMO_SIGNING_KEY.")
        refuse_untrusted(self._signer, self._trusted)
        own = self._signer.public_key().public_bytes_raw().hex()
        for _ in range(_ATTEMPTS):
            with self._lock:
                tally = self.today(store)
                new = {key: digest for key, digest in objects.items() if tally.of(key) != digest}
                if not new and not (take_over and tally.signer not in ("", own)):
                    return
                entry = tally.next_entry(new, self._signer)
                try:
                    store.put_if_absent(layout.tally_entry(entry.seq), entry.body)
                except ConditionFailed:
                    pass  # somebody was faster, or this very entry arrived before: it is read then
                else:
                    tally.follow([entry.model_dump()], self._trusted)
                    sum_up(store, ENTRIES, entry.seq)
                    return
            time.sleep(random.uniform(0.0, 0.05))  # noqa: S311
        raise StorageUnavailable(
            "the tally of evidence could not be appended to",
            where=layout.TALLY,
            found=f"{_ATTEMPTS} attempts met another writer",
            do="Try again.",
        )

    # ---- reading -------------------------------------------------------------------------

    def check(self, store: ObjectStore, key: str, received: Received) -> None:
        """CorruptArtefact unless the object is as its writer, who had the key, left it."""
        if not is_evidence(key):
            return
        after, valid = self._seal_of(key, received)
        tally = self.known(store)
        if tally.of(key) != received.digest or after > tally.seq:
            tally = self.today(store)
        if valid and after > tally.seq:
            raise CorruptArtefact(
                "the tally of evidence was cut",
                where=layout.tally_entry(tally.seq + 1),
                found=f"it has {tally.seq} entries, and {key} was sealed after entry {after}",
                do="Restore `tally/` and what it names from a backup.",
            )
        if tally.of(key) == received.digest:
            return
        # A writer may have died, or be about to count it; what was counted since is another object.
        if valid and (tally.of(key) is None or after >= tally.objects[key][1]):
            if self._signer is not None:
                self.count(store, {key: received.digest})
            return
        if tally.of(key) == GONE:
            raise ObjectMissing("the object was deleted rightly, and is there again", where=key)
        raise _not_sealed(key, tally)

    def check_absence(self, store: ObjectStore, key: str) -> None:
        """CorruptArtefact where an object that is not there was counted."""
        if is_evidence(key) and self.today(store).of(key):
            raise _deleted(key)

    def expected(self, store: ObjectStore, prefix: str) -> set[str]:
        """What a listing of ``prefix`` that is made now has to hold."""
        if not may_hold_evidence(prefix):
            return set()
        with self._lock:
            return self.today(store).below(prefix)

    def check_listing(
        self, store: ObjectStore, prefix: str, expected: set[str], found: Iterable[str]
    ) -> None:
        """CorruptArtefact where counted evidence is missing, or evidence is there that nobody sealed."""
        if not may_hold_evidence(prefix):
            return
        there = set(found)
        tally = self.known(store)
        if (missing := expected - there) and (missing := missing & self.expected(store, prefix)):
            raise _deleted(min(missing))
        for key in sorted(there):
            if is_evidence(key) and tally.of(key) is None:
                self._check_uncounted(store, key)

    def _check_uncounted(self, store: ObjectStore, key: str) -> None:
        try:
            store.read(key)
        except ObjectMissing:
            log.debug("%s went while it was listed", key)

    def _seal_of(self, key: str, received: Received) -> tuple[int, bool]:
        """The entry that the seal says it was made after, and whether the seal is that of a trusted key."""
        found = _FORM.fullmatch(received.metadata.get(SEAL, ""))
        if found is None:
            return 0, False
        after = int(found[1])
        return after, fits(self._trusted, found[2], _sealed(key, received.digest, after))


def _sealed(key: str, digest: str, after: int) -> bytes:
    return f"{key}\n{digest}\n{after}\n".encode()


def _deleted(key: str) -> CorruptArtefact:
    return CorruptArtefact(
        "evidence was deleted: the tally names it, and it is not there", where=key, do=_RESTORE
    )


def _not_sealed(key: str, tally: Tally) -> CorruptArtefact:
    if not tally.seq:
        return CorruptArtefact(
            "a key is set, and nothing in this bucket is sealed yet",
            where=key,
            do="If what is there is right: `pneumo models sign`, once, with the key to sign with.",
        )
    counted = tally.of(key)
    return CorruptArtefact(
        "the object was changed since it was sealed" if counted else "nobody with the key wrote this object",
        where=key,
        found=f"sealed as {counted[:16]}" if counted else "no seal",
        do="Restore it from a backup, or take it out. If it is rightly there: `pneumo models sign`."
        if not counted
        else _RESTORE,
    )
