"""ONNX: the same graph for serving stacks that do not run TensorFlow."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.films import by_size
from pneumo_tasks.training.model.artefact import Traced, score_images

log = logging.getLogger(__name__)

_INPUT, _OUTPUT = "image", "output_0"

OPSET = 15  # with it the file is of IR 8, which ONNX Runtime reads since 1.10
LIMIT = 1e-3  # largest difference in probability between the two files


def export_onnx(loaded: Any, path: Path, films: list[NDArray[np.uint8]]) -> float:
    """Write ``path`` from a loaded .keras file, ask both about ``films``, return the greatest difference.

    Its input is uint8 (N, H, W, 1), all three free, its output float32 (N, 1). CorruptArtefact
    where the two files disagree by more than the limit.
    """
    expected = score_images(loaded, films)
    path.write_bytes(_converted(loaded))
    difference = float(np.abs(score_onnx(path, films) - expected).max())
    log.info("ONNX: differs from the .keras file by %.1e at most, limit %g", difference, LIMIT)
    if not difference <= LIMIT:
        raise CorruptArtefact(
            "the ONNX file gives other probabilities than the .keras file",
            found=f"difference {difference:.2e}, limit {LIMIT:g}",
            do="Set PNEUMO_EXPORT_ONNX=false to go on without it, and report this.",
        )
    return difference


def _converted(loaded: Any) -> bytes:
    """The model as ONNX, from the graph that answered already: Keras's own export would trace another.

    Not simplified: whoever loads it does that again, and here it takes longer than all the rest.
    """
    import tensorflow as tf
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()
    from tf2onnx import tf_loader
    from tf2onnx.tfonnx import process_tf_graph

    films = tf.TensorSpec(loaded.inputs[0].shape, loaded.inputs[0].dtype, _INPUT)
    answer = tf.function(Traced.of(loaded).tell_answer, input_signature=[films], autograph=False)
    concrete = answer.get_concrete_function()
    (given,), (asked,) = [[concrete.inputs[0].name], [concrete.outputs[0].name]]
    with tf.device("/cpu:0"):
        frozen = tf_loader.from_function(concrete, [given], [asked])
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        names = {given: _INPUT, asked: _OUTPUT}
        made = process_tf_graph(
            graph, opset=OPSET, input_names=[given], output_names=[asked], tensors_to_rename=names
        )
        return made.make_model("pneumo").SerializeToString()  # type: ignore[no-any-return]


def score_onnx(path: Path, films: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of PNEUMONIA of each film, uint8 (H, W) of any size, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def ask(batch: NDArray[np.uint8]) -> Any:
        return session.run(None, {name: batch})[0]

    return by_size(ask, films).reshape(-1).astype(np.float32)
