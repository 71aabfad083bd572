"""``pneumo predict``: probabilities for image files, from a model whose digest was checked."""

from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.extras import need
from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table
from pneumo_tasks.settings import LABELS
from pneumo_tasks.storage.work_folders import shared_temporary_folder, work_folder


def predict(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Image files.")],
    model: Annotated[str | None, typer.Option(help="A version; without it the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the probability of pneumonia for each image. Not for diagnosis.

    ``aligned`` is False where the model could not bring the film to its standard frame and judged it as
    it is; ``likeness`` is the correlation with the template. Both are empty for models without a frame.
    """
    from pneumo_tasks.films.imaging import Limits, decode_grey
    from pneumo_tasks.promotion.registry.versions import download_model
    from pneumo_tasks.training.model.artefact import ask, load_artefact

    need("train")
    settings, store = open_bucket()
    images = [decode_grey(file.read_bytes(), Limits.of(settings)) for file in files]
    with work_folder(shared_temporary_folder()) as folder:
        found = download_model(settings, store, folder / "model.keras", model)
        answers = ask(load_artefact(folder / "model.keras"), images)
    version = found.manifest
    rows = [
        {
            "file": str(file),
            "probability": float(score),
            "label": LABELS[int(score >= version.threshold)],
            "threshold": version.threshold,
            "version": version.version,
            "signature": found.signature,
            "aligned": None if answers.aligned is None else bool(answers.aligned[number]),
            "likeness": None if answers.likeness is None else round(float(answers.likeness[number]), 4),
        }
        for number, (file, score) in enumerate(zip(files, answers.probability, strict=True))
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ["file", "probability", "label", "threshold", "aligned", "likeness"]
        print_table([*columns, "version", "signature"], rows)
