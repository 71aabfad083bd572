"""The model file: read without trusting it, and asked about images of any size."""

import io
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.framing.alignment import ACCEPTED, CORRELATION
from pneumo_tasks.training.hardware import settled_keras

BATCH = 32
_SAVED_AT = "2000-01-01@00:00:00"


def load_artefact(path: Path) -> Any:
    """Load a ``.keras`` file in safe mode; CorruptArtefact where it is none, or holds code."""
    keras = settled_keras()
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise CorruptArtefact("not a .keras file", where=str(path), do="Promote a model again.")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise CorruptArtefact(
            "the model does not load in safe mode", where=str(path), found=str(error)[:300]
        ) from error


def save_artefact(model: Any, path: Path) -> None:
    """Write ``model`` as a ``.keras`` file whose bytes depend on the model alone, not on the clock."""
    model.save(path)
    rewritten = io.BytesIO()
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(rewritten, "w") as taken:
        for name in sorted(given.namelist()):
            body = given.read(name)
            if name == "metadata.json":
                body = json.dumps(json.loads(body) | {"date_saved": _SAVED_AT}, sort_keys=True).encode()
            elif name == "config.json":
                body = _renumbered(body.decode()).encode()
            taken.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), body)
    path.write_bytes(rewritten.getvalue())


def _renumbered(config: str) -> str:
    """Count shared objects in order of appearance; Keras writes their memory addresses."""
    numbers: dict[str, int] = {}
    return re.sub(
        r'(?<="shared_object_id": )\d+', lambda m: str(numbers.setdefault(m.group(), len(numbers))), config
    )


def score_images(model: Any, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of PNEUMONIA of each image, uint8 (H, W) of any size, in the order given."""
    scores = [run_on_images(model, chunk) for chunk in chunks(images)]
    return np.concatenate(scores).reshape(-1).astype(np.float32) if scores else np.zeros(0, np.float32)


@dataclass(frozen=True)
class Answers:
    """What a model says about films (N): ``aligned`` where it brought a film to its standard frame, and
    ``likeness``, the correlation with its template then; both None for a model without such a frame.
    """

    probability: NDArray[np.float32]
    aligned: NDArray[np.bool_] | None = None
    likeness: NDArray[np.float32] | None = None


def ask(model: Any, images: Iterable[NDArray[np.uint8]]) -> Answers:
    """The probability of each image, and how its framing went, in one pass and in the order given."""
    told = _with_alignment(model)
    if told is None:
        return Answers(score_images(model, images))
    found = [by_size(told.predict_on_batch, chunk) for chunk in chunks(images)]
    if not found:
        return Answers(np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, np.float32))
    probability, aligned, likeness = np.concatenate(found).T
    return Answers(probability, aligned > 0, likeness)


def _with_alignment(model: Any) -> Any:
    """The model with its answer and the alignment's two in one row; None where it has no such layers."""
    import keras

    names = {layer.name for layer in model.layers}
    if not {ACCEPTED, CORRELATION} <= names:
        return None
    told = [model.get_layer(name).output for name in (ACCEPTED, CORRELATION)]
    # A name of its own: in a fresh process Keras would give it one that the loaded file has already.
    row = keras.layers.Concatenate(axis=1, name="probability_and_alignment")([model.outputs[0], *told])
    return keras.Model(model.inputs[0], row)


def chunks(images: Iterable[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    iterator = iter(images)
    while chunk := list(itertools.islice(iterator, BATCH)):
        yield chunk


def run_on_images(model: Any, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Run a model with one output on images of any size."""
    return by_size(model.predict_on_batch, images)


def by_size(
    ask: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: list[NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """What ``ask`` says about each image, uint8 (H, W); those of one size go through together."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    answers: list[NDArray[np.float32] | None] = [None] * len(images)
    for indices in by_shape.values():
        batch = np.stack([images[i] for i in indices])[..., None]
        for index, answer in zip(indices, ask(batch), strict=True):
            answers[index] = answer
    return np.stack([answer for answer in answers if answer is not None])
