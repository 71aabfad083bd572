"""The part of the settings that `pneumo receive` is told by."""

from pathlib import Path

from pydantic import Field

from pneumo_tasks.store_settings import StoreSettings


class ReceiverSettings(StoreSettings):
    """Where it listens, who may send, and how long films wait for their batch."""

    receive_address: str = Field(
        "127.0.0.1", description="Another than this machine's own needs receive_calling"
    )
    receive_port: int = Field(11112, ge=0, le=65535, description="0: any that is free")
    receive_title: str = Field(
        "PNEUMO", pattern=r"^[!-\[\]-~]{1,16}$", description="AE title that archives call"
    )
    receive_calling: str = Field("", description="AE titles that may send, commas between; empty: any")
    receive_folder: Path = Field(Path(".local/received"), description="Where films wait for their batch")
    receive_gigabytes: float = Field(20.0, gt=0.0, description="Films that wait; more are refused till later")
    receive_quiet_minutes: float = Field(10.0, gt=0.0, description="Then a study day is closed and sent")
