"""Hardware: what a task trains on, made deterministic before the first step."""

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings


@dataclass(frozen=True)
class Hardware:
    """The accelerators that TensorFlow sees; ``device`` is 'gpu' or 'cpu'."""

    device: str
    gpus: int
    cores: int
    processor: str

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def prepare_hardware(settings: Settings) -> Hardware:
    """Look for GPUs and make every op of this process deterministic.

    Raises BadConfiguration where the settings require a GPU and none is seen.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if settings.require_gpu and not gpus:
        raise BadConfiguration(
            "no GPU is seen",
            found="PNEUMO_REQUIRE_GPU is set",
            do="Start the worker with its GPU and driver, or unset PNEUMO_REQUIRE_GPU.",
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    return Hardware("gpu" if gpus else "cpu", len(gpus), os.cpu_count() or 1, platform.machine())
