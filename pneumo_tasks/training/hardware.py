"""Hardware: what a task trains on, made deterministic, and the precision it is good at."""

import os
import platform
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pneumo_tasks.cores import available_cores
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Hardware:
    """What TensorFlow sees; ``device`` is 'gpu' or 'cpu', ``precision`` a Keras dtype policy."""

    device: str
    gpus: int
    cores: int
    processor: str
    precision: str
    devices: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        return {**asdict(self), "devices": list(self.devices)}

    @property
    def training_precision(self) -> str:
        """float16 needs a scaled loss, for little on so few layers: those train in float32."""
        return "float32" if self.precision == "mixed_float16" else self.precision

    def scope(self) -> AbstractContextManager[Any]:
        """Where a model is built and trained: mirrored over the devices where there are several."""
        import tensorflow as tf

        return _strategy(tf, self.devices).scope()  # type: ignore[no-any-return]


def settled_keras() -> Any:
    """Keras on TensorFlow, in float32 with channels last, whatever a keras.json or the shell says.

    Features and scores depend on these, and their keys do not name them. Raises BadConfiguration where
    this process has already imported Keras on another backend.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        import keras
    except ValueError as error:
        raise BadConfiguration(
            "Keras does not start", found=str(error), do="Correct keras.json, or set KERAS_HOME elsewhere."
        ) from None

    if keras.config.backend() != "tensorflow":
        raise BadConfiguration(
            "Keras runs on another backend in this process",
            found=f"{keras.config.backend()}, needed: tensorflow",
            do="Unset KERAS_BACKEND, or start a process that has not imported Keras.",
        )
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    keras.config.set_max_epochs(None)  # KERAS_MAX_EPOCHS would end a training early, and say nothing
    keras.config.set_max_steps_per_epoch(None)
    return keras


def prepare_hardware(settings: Settings) -> Hardware:
    """Look for GPUs and make every op of this process deterministic.

    Raises BadConfiguration where the settings require a GPU and none is seen.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    keras = settled_keras()
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
    return Hardware(
        "gpu" if gpus else "cpu",
        len(gpus),
        available_cores(),
        platform.machine(),
        chosen_precision(settings),
        tuple(f"GPU:{number}" for number in range(len(gpus))),
    )


def chosen_precision(settings: Settings) -> str:
    """The settings' precision, or this machine's best; imports TensorFlow only where there is a GPU."""
    if settings.precision != "auto":
        return settings.precision
    capabilities: list[tuple[int, int]] = []
    if any(Path("/dev").glob("nvidia[0-9]*")):
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(gpu)
            capabilities.append(details.get("compute_capability", (0, 0)))
    return best_precision(capabilities, processor_flags())


def best_precision(capabilities: list[tuple[int, int]], flags: frozenset[str]) -> str:
    """The fastest precision that all devices compute in hardware.

    GPUs: bfloat16 from compute capability 8.0, float16 from 7.0. CPUs: bfloat16 where the processor
    has the instructions for it; emulated, it would be slower than float32.
    """
    if capabilities:
        weakest = min(capabilities)
        return "mixed_bfloat16" if weakest >= (8, 0) else "mixed_float16" if weakest >= (7, 0) else "float32"
    return "mixed_bfloat16" if flags & _BFLOAT16_FLAGS else "float32"


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The instruction sets of the first processor, as Linux names them; empty elsewhere."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), []))


def _strategy(tf: Any, devices: tuple[str, ...]) -> Any:
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()
