"""ONNX: the same graph for serving stacks that do not run TensorFlow."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.model.artefact import by_size, load_artefact, score_images

log = logging.getLogger(__name__)

LIMIT = 1e-3  # largest difference in probability between the two files


def export_onnx(keras_file: Path, path: Path, films: list[NDArray[np.uint8]]) -> float:
    """Write ``path`` from the .keras file, ask both about ``films``, return the greatest difference.

    Its input is uint8 (N, H, W, 1), all three free, its output float32 (N, 1). CorruptArtefact
    where the two files disagree by more than the limit.
    """
    model = load_artefact(keras_file)
    expected = score_images(model, films)  # a model must have been called before it can be exported
    model.export(str(path), format="onnx", verbose=False)
    difference = float(np.abs(score_onnx(path, films) - expected).max())
    log.info("ONNX: differs from the .keras file by %.1e at most, limit %g", difference, LIMIT)
    if not difference <= LIMIT:
        raise CorruptArtefact(
            "the ONNX file gives other probabilities than the .keras file",
            found=f"difference {difference:.2e}, limit {LIMIT:g}",
            do="Set PNEUMO_EXPORT_ONNX=false to go on without it, and report this.",
        )
    return difference


def score_onnx(path: Path, films: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of PNEUMONIA of each film, uint8 (H, W) of any size, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def ask(batch: NDArray[np.uint8]) -> Any:
        return session.run(None, {name: batch})[0]

    return by_size(ask, films).reshape(-1).astype(np.float32)
