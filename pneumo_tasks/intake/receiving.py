"""Receiving: films that an archive sends by DICOM become a batch a study day, unlabelled, and are sent."""

import ipaddress
import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo_tasks.errors import BadBatch, BadConfiguration, BadData, PneumoError
from pneumo_tasks.films.circumstances import study_day
from pneumo_tasks.films.dicom_files import READABLE, read_tags, refusing
from pneumo_tasks.intake.sent.batches import Split, read_batch, upload_batch
from pneumo_tasks.intake.spool import Spool
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.digests import sha256
from pneumo_tasks.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from pynetdicom import AE

log = logging.getLogger(__name__)

# What a chest film may be: computed and digital radiography for presentation, and secondary captures.
FILMS = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
_ECHO = "1.2.840.10008.1.1"
_AT_ONCE = 8  # associations; to the ninth we say "later"
_IDLE = 60.0  # seconds: then a silent association is ended
_ENVELOPE = 2**20  # bytes of a message that are no film
_DONE, _LATER, _NOT_A_FILM = 0x0000, 0xA700, 0xC000


@dataclass
class Receiver:
    """A storage service; a film is on this disk before its sender is told so, and is judged like any other.

    The sender is asked to wait (A700) where ``spool`` is full; that is all of the back-pressure.
    """

    settings: Settings
    store: ObjectStore
    spool: Spool
    split: Split = "auto"
    _under_way: Counter[int] = field(default_factory=Counter)

    def listen(self) -> Any:
        """Start to listen, in threads of its own; the server's ``server_address`` says where."""
        from pynetdicom import evt

        handlers = [
            (evt.EVT_C_STORE, self.take),
            (evt.EVT_PDU_RECV, self.count),
            (evt.EVT_CONN_CLOSE, self.end),
        ]
        address = (self.settings.receive_address, self.settings.receive_port)
        try:
            return _entity(self.settings).start_server(address, block=False, evt_handlers=handlers)
        except OSError as error:
            raise BadConfiguration(
                "the address cannot be listened to", where=f"{address[0]}:{address[1]}",
                found=str(error.strerror), do="Set PNEUMO_RECEIVE_ADDRESS and PNEUMO_RECEIVE_PORT.",
            ) from None  # fmt: skip

    def take(self, event: Any) -> Any:
        """Keep one film; 0000 is answered when it is on the disk."""
        self._under_way[id(event.assoc)] = 0
        film = bytes(event.encoded_dataset())
        if len(film) > self.settings.max_image_bytes:
            return _answer(_NOT_A_FILM, f"{len(film)} bytes, limit {self.settings.max_image_bytes}")
        try:
            self.spool.keep(day_of(film, 2 * self.settings.max_image_bytes), film)
        except PneumoError as error:
            log.warning("a film was refused till later: %s", error)
            return _answer(_LATER, error.what)
        return _answer(_DONE)

    def count(self, event: Any) -> None:
        """End an association whose message is longer than any film may be."""
        peer = id(event.assoc)
        self._under_way[peer] += len(event.pdu)
        if self._under_way[peer] > self.settings.max_image_bytes + _ENVELOPE:
            log.warning("a message above %d bytes: its association is ended", self.settings.max_image_bytes)
            self._under_way[peer] = 0
            event.assoc.abort(block=False)

    def end(self, event: Any) -> None:
        self._under_way.pop(id(event.assoc), None)

    def send_what_is_quiet(self) -> None:
        """Close the study days that are quiet, and send each closed one; what cannot be sent waits."""
        self.spool.close_quiet(self.settings.receive_quiet_minutes * 60)
        for folder in self.spool.closed():
            try:
                self._send(folder)
            except PneumoError as error:
                log.warning("%s waits: %s", folder.name, error)

    def _send(self, folder: Path) -> None:
        films = sorted(path.name for path in folder.iterdir())
        batch_id = batch_id_of(folder.name, films)
        if films and not self._is_there(batch_id):
            upload_batch(self.settings, self.store, folder, batch_id, self.split, unlabelled=True)
        self.spool.forget(folder)
        log.info("%d films of %s are batch %s", len(films), folder.name.rsplit("-", 1)[0], batch_id)

    def _is_there(self, batch_id: str) -> bool:
        """Whether an earlier process sent it and ended before it could forget the films."""
        if not self.store.exists(layout.batch_manifest(batch_id)):
            return False
        if not read_batch(self.store, batch_id)[0].unlabelled:
            raise BadBatch("another batch has this id", where=batch_id, do="Upload the films by hand.")
        return True


def day_of(film: bytes, max_bytes: int) -> str:
    """The day of the study; "" of a damaged film too: the validating task says what is wrong with it."""
    try:
        with refusing("a damaged DICOM header"):  # an element is only parsed when it is asked for
            return study_day(read_tags(film, max_bytes))
    except BadData:
        return ""


def batch_id_of(folder: str, films: list[str]) -> str:
    """The id of what was closed: the day of its closing, never that of the studies, and a digest."""
    closed = folder.rsplit("-", 1)[-1][:8]
    return f"received-{closed}-{sha256(' '.join([folder, *films]).encode())[:12]}"


def receive(receiver: Receiver, stopping: threading.Event, every: float = 10.0) -> None:
    """Listen until ``stopping`` is set; films that wait then are sent after the next start."""
    server = receiver.listen()
    host, port = server.server_address[:2]
    log.info("%s listens at %s:%d", receiver.settings.receive_title, host, port)
    try:
        while True:
            receiver.send_what_is_quiet()
            if stopping.wait(every):
                return
    finally:
        server.ae.shutdown()


def _entity(settings: Settings) -> "AE":
    """Whom we are and whom we let in; BadConfiguration where anybody in the network could send."""
    from pynetdicom import AE

    logging.getLogger("pynetdicom").setLevel(logging.ERROR)  # what it says of messages holds names
    calling = [title.strip() for title in settings.receive_calling.split(",") if title.strip()]
    if not calling and not _is_loopback(settings.receive_address):
        raise BadConfiguration(
            "anybody in the network could send films", where=settings.receive_address,
            do="Name the AE titles that may: PNEUMO_RECEIVE_CALLING.",
        )  # fmt: skip
    entity = AE(settings.receive_title)
    entity.require_called_aet = True
    entity.require_calling_aet = calling
    entity.maximum_associations = _AT_ONCE
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _IDLE
    entity.add_supported_context(_ECHO)
    for kind in FILMS:
        entity.add_supported_context(kind, list(READABLE))
    return entity


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _answer(status: int, comment: str = "") -> Any:
    from pydicom import Dataset

    answer = Dataset()
    answer.Status = status
    if comment:
        answer.ErrorComment = comment[:64]
    return answer
