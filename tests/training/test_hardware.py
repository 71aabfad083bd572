import os
import subprocess
import sys
from pathlib import Path

import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.hardware import Hardware, best_precision, prepare_hardware, processor_flags

# Logical devices must be configured before TensorFlow starts: a process of its own.
MIRRORED = """
import sys, tempfile
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pneumo_tasks.training.fitting.epochs import Training, fit
from pneumo_tasks.training.hardware import Hardware
from pneumo_tasks.training.recipe import Stage
from tests.training.synthetic import drawn_examples, small_model
folder = Path(tempfile.mkdtemp())
train, validation = drawn_examples(folder, 256), drawn_examples(folder, 64, seed=1)
for devices in ((), ("CPU:0", "CPU:1")):
    hardware = Hardware("cpu", 0, 2, "x86_64", "float32", devices)
    with hardware.scope():
        model = small_model()
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        result = fit(Training("head", model, Stage(("any",), 6, 1e-2), train, validation, 7))
    print(replicas, result.epochs[-1]["val_auc"])
"""


@pytest.mark.slow
def test_two_devices_are_mirrored_and_learn_the_same() -> None:
    project = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (one, auc), (two, mirrored_auc) = (line.split() for line in done.stdout.strip().splitlines()[-2:])
    assert (one, two) == ("1", "2")
    assert float(mirrored_auc) == pytest.approx(float(auc), abs=0.05)


@pytest.mark.parametrize(
    ("capabilities", "flags", "expected"),
    [
        ([], {"avx2"}, "float32"),
        ([], {"avx2", "avx512_bf16"}, "mixed_bfloat16"),
        ([], {"amx_bf16"}, "mixed_bfloat16"),
        ([(7, 5)], {"avx512_bf16"}, "mixed_float16"),
        ([(8, 0), (9, 0)], set(), "mixed_bfloat16"),
        ([(8, 0), (6, 1)], set(), "float32"),
    ],
)
def test_the_precision_is_what_all_devices_compute_in_hardware(capabilities, flags, expected) -> None:
    assert best_precision(capabilities, frozenset(flags)) == expected


def test_a_machine_that_lists_no_instructions_computes_in_float32(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert processor_flags(tmp_path / "cpuinfo") == processor_flags(tmp_path / "none") == frozenset()


def test_float16_features_are_trained_on_in_float32() -> None:
    assert Hardware("gpu", 1, 8, "x86_64", "mixed_float16").training_precision == "float32"


def test_a_required_gpu_that_is_not_there_is_a_final_error(settings: Settings) -> None:
    with pytest.raises(BadConfiguration, match="PNEUMO_REQUIRE_GPU"):
        prepare_hardware(settings.model_copy(update={"require_gpu": True}))


def test_what_the_shell_and_the_home_say_of_keras_does_not_change_what_it_computes(tmp_path: Path) -> None:
    settings = (
        '{"floatx": "float16", "backend": "jax", "image_data_format": "channels_first", "epsilon": 0.1}'
    )
    (tmp_path / "keras.json").write_text(settings)
    script = (
        "from pneumo_tasks.training.hardware import settled_keras\n"
        "c = settled_keras().config\n"
        "print(c.backend(), c.floatx(), c.image_data_format(), c.epsilon())\n"
        "from keras.src.backend.config import max_epochs, max_steps_per_epoch\n"
        "print(max_epochs(), max_steps_per_epoch())"
    )
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    environment |= {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["tensorflow", "float32", "channels_last", "1e-07", "None", "None"]


def test_a_keras_file_that_keras_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"floatx": "float13"}')
    script = (
        "from pneumo_tasks.training.hardware import settled_keras\n"
        "from pneumo_tasks.errors import BadConfiguration\n"
        "try:\n    settled_keras()\nexcept BadConfiguration as error:\n    print(error)"
    )
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert "float13" in done.stdout
    assert "KERAS_HOME" in done.stdout
