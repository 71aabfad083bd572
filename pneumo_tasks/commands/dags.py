"""``pneumo dags-folder``: where Airflow finds the DAGs."""

from importlib import metadata
from pathlib import Path

from pneumo_tasks.commands.terminal.output import say
from pneumo_tasks.errors import BadConfiguration

BESIDE = Path(__file__).resolve().parents[2] / "dags"
INSTALLED = "share/pneumo/dags"


def dags_folder() -> None:
    """Print the folder of the DAGs, for AIRFLOW__CORE__DAGS_FOLDER. The plugin needs no folder."""
    say(find_dags())


def find_dags() -> Path:
    """``dags/`` of the checkout that this package runs from, else the copy that came with the wheel."""
    if (BESIDE / "pneumonia_retraining.py").exists():
        return BESIDE
    for file in metadata.files("pneumo") or ():
        if file.as_posix().endswith(f"{INSTALLED}/pneumonia_retraining.py"):
            return Path(str(file.locate())).resolve().parent
    raise BadConfiguration(
        "this installation has no DAGs", where=str(BESIDE), do="Install Pneumo from its wheel or a clone."
    )
