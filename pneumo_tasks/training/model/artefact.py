"""The model file: read without trusting it, and asked about images of any size."""

import errno
import io
import itertools
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.films import by_size
from pneumo_tasks.training.framing.alignment import ACCEPTED, CORRELATION
from pneumo_tasks.training.hardware import settled_keras
from pneumo_tasks.training.recipe import FRAME

BATCH = 32
_ANSWER, _TOLD = "answer", (FRAME, ACCEPTED, CORRELATION)
_MOST_MEMBERS, _MOST_BYTES, _MOST_JSON = 64, 2 * 2**30, 16 * 2**20
# What zipfile and json raise for a file that somebody made.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, ValueError, RecursionError, NotImplementedError),
    *(RuntimeError, EOFError),
)
_SAVED_AT = "2000-01-01@00:00:00"


def load_artefact(path: Path) -> Any:
    """Load a ``.keras`` file in safe mode; CorruptArtefact where it is none, or holds code."""
    keras = settled_keras()
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise CorruptArtefact("not a .keras file", where=str(path), do="Promote a model again.")
    _refuse_oversized(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a file that somebody made may end in any exception of Keras, h5py or NumPy
        raise CorruptArtefact(
            "the model does not load in safe mode",
            where=str(path),
            found=f"{type(error).__name__}: {str(error)[:300]}",
            do=_written_by_a_newer_keras(path, keras.__version__),
        ) from error


def _written_by_a_newer_keras(path: Path, ours: str) -> str:
    """What to do where the file says that a newer Keras wrote it; empty where it does not."""
    with zipfile.ZipFile(path) as file, suppress(KeyError, ValueError, AttributeError):
        theirs = str(json.loads(file.read("metadata.json")).get("keras_version"))
        if _release(theirs) > _release(ours):
            return f"It was written by Keras {theirs}, and this is {ours}: read it where that is installed."
    return ""


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _refuse_oversized(path: Path) -> None:
    """CorruptArtefact before anything is unpacked: for what no model of ours has."""
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            inflated = sum(member.file_size for member in members)
            large = max((m.file_size for m in members if m.filename.endswith(".json")), default=0)
            found = ""
            if len(members) > _MOST_MEMBERS:
                found = f"{len(members)} members, limit {_MOST_MEMBERS}"
            elif inflated > _MOST_BYTES:
                found = f"{inflated} bytes unpacked, limit {_MOST_BYTES}"
            elif large > _MOST_JSON:
                found = f"a document of {large} bytes, limit {_MOST_JSON}"
            else:
                _parse_all(file)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of the disk; the file's own is that it points before its beginning
            raise
        found = f"{type(error).__name__}: {error}"
    except _UNREADABLE as error:
        found = f"{type(error).__name__}: {str(error)[:200]}"
    if found:
        raise CorruptArtefact("not a model of ours", where=str(path), found=found, do="Do not open it.")


def _parse_all(file: zipfile.ZipFile) -> None:
    """Whatever json and zipfile raise, before Keras does."""
    for member in file.infolist():
        if member.filename.endswith(".json"):
            json.loads(file.read(member))


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


@dataclass(frozen=True)
class Answers:
    """What a model says about films (N): ``aligned`` where it brought a film to its standard frame, and
    ``likeness``, the correlation with its template then; both None for a model without such a frame.
    """

    probability: NDArray[np.float32]
    aligned: NDArray[np.bool_] | None = None
    likeness: NDArray[np.float32] | None = None


class Traced:
    """A model's answer, and what it says on the way, by one graph that is traced once for films of any size.

    Keras would trace it again for the second size, height, width and number of films, and an alignment
    takes many seconds to trace. It stands in for the function that Keras would make.
    """

    def __init__(self, model: Any) -> None:
        import keras
        import tensorflow as tf

        layers = {layer.name: layer.output for layer in model.layers}
        ends = {name: layers[name] for name in _TOLD if name in layers}
        told = keras.Model(model.inputs[0], {_ANSWER: model.outputs[0], **ends}) if ends else None

        def tell(films: Any) -> Any:
            return told(films, training=False) if told else {_ANSWER: model(films, training=False)}

        signature = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
        self.function = tf.function(tell, input_signature=[signature], autograph=False)

    @classmethod
    def of(cls, model: Any) -> Self:
        """The model's own, made where it has none yet."""
        if not isinstance(model.predict_function, cls):
            model.predict_function = cls(model)
        return model.predict_function

    def __call__(self, data: Any) -> Any:
        """As Keras asks, for ``predict_on_batch``."""
        return self.tell_answer(data[0][0])

    def tell_answer(self, films: Any) -> Any:
        """The answer as a tensor."""
        return self.function(films)[_ANSWER]

    def part(self, name: str, films: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the layer FRAME, ACCEPTED or CORRELATION says about films (N, H, W, 1)."""
        return self.function(films)[name].numpy()  # type: ignore[no-any-return]

    def answer(self, films: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.part(_ANSWER, films)


def score_images(model: Any, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of PNEUMONIA of each image, uint8 (H, W) of any size, in the order given."""
    answer = Traced.of(model).answer
    scores = [by_size(answer, chunk) for chunk in chunks(images)]
    return np.concatenate(scores).reshape(-1).astype(np.float32) if scores else np.zeros(0, np.float32)


def ask(model: Any, images: Iterable[NDArray[np.uint8]]) -> Answers:
    """The probability of each image, and how its framing went, in one pass and in the order given."""
    if not {ACCEPTED, CORRELATION} <= {layer.name for layer in model.layers}:
        return Answers(score_images(model, images))
    function = Traced.of(model).function

    def row(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        told = function(batch)
        return np.concatenate([told[name].numpy() for name in (_ANSWER, ACCEPTED, CORRELATION)], axis=1)

    found = [by_size(row, chunk) for chunk in chunks(images)]
    if not found:
        return Answers(np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, np.float32))
    probability, aligned, likeness = np.concatenate(found).T
    return Answers(probability, aligned > 0, likeness)


def chunks(images: Iterable[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    iterator = iter(images)
    while chunk := list(itertools.islice(iterator, BATCH)):
        yield chunk
