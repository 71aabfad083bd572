"""``pneumo receive``: films straight from an archive."""

import signal
import threading
from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.extras import need
from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.verbosity import say_every_step
from pneumo_tasks.intake.sent.batches import Split


def receive(
    split: Annotated[Split, typer.Option(help="Of the batches: train, test, or auto, by patient.")] = "auto",
) -> None:
    """Receive films straight from an archive, by DICOM, until it is stopped.

    The films of a study day are a batch, which is sent when the day was quiet for a while (the settings
    receive_*). They have no labels yet: `pneumo batch label`.
    """
    need("receive")
    from pneumo_tasks.intake.receiving import Receiver
    from pneumo_tasks.intake.receiving import receive as receive_until
    from pneumo_tasks.intake.spool import Spool

    settings, store = open_bucket()
    say_every_step()
    stopping = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stopping.set())
    spool = Spool(settings.receive_folder, int(settings.receive_gigabytes * 10**9))
    receive_until(Receiver(settings, store, spool, split), stopping)
