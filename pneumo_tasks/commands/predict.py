"""``pneumo predict``: probabilities for image files, from a model whose digest was checked."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.opening import open_bucket
from pneumo_tasks.commands.output import AsJson, print_json, print_table
from pneumo_tasks.settings import LABELS


def predict(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Image files.")],
    model: Annotated[str | None, typer.Option(help="A version; without it the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the probability of pneumonia for each image. Not for diagnosis."""
    from pneumo_tasks.imaging import Limits, decode_grey
    from pneumo_tasks.promotion.registry import download_model
    from pneumo_tasks.training.artefact import load_artefact, score_images

    settings, store = open_bucket()
    images = [decode_grey(file.read_bytes(), Limits.of(settings)) for file in files]
    with tempfile.TemporaryDirectory() as folder:
        found = download_model(settings, store, Path(folder) / "model.keras", model)
        scores = score_images(load_artefact(Path(folder) / "model.keras"), images)
    version = found.manifest
    rows = [
        {
            "file": str(file),
            "probability": float(score),
            "label": LABELS[int(score >= version.threshold)],
            "threshold": version.threshold,
            "version": version.version,
            "signature": found.signature,
        }
        for file, score in zip(files, scores, strict=True)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(["file", "probability", "label", "threshold", "version", "signature"], rows)
