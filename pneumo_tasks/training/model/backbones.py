"""Backbones: where their weights come from, and which weights they are."""

import logging
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.digests import check_digest, sha256, sha256_of_file
from pneumo_tasks.storage.local_disk import make_folder, written_below
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.work_folders import work_folder
from pneumo_tasks.training.backbone_table import BACKBONES

log = logging.getLogger(__name__)

DOWNLOAD_PATIENCE = 10.0  # seconds until the server of the ImageNet weights has to answer
_PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications"
_RANDOM_SEED = 0
_ADVICE = "Set PNEUMO_BACKBONE_WEIGHTS to a file or an s3:// URI with the ImageNet weights (without top)."


@dataclass(frozen=True)
class BackboneWeights:
    """Weights that were found: ``sha256`` identifies them, ``path`` is None where they are random."""

    name: str
    source: str
    sha256: str
    random: bool
    path: Path | None


def resolve_weights(settings: Settings, store: ObjectStore, name: str) -> BackboneWeights:
    """Find the weights that the settings name, on this machine when it returns.

    ``random`` is allowed for `make demo` alone. Raises BadConfiguration where the file is missing
    or the ImageNet weights cannot be downloaded.
    """
    wanted = settings.backbone_weights
    if wanted == "random":
        if not settings.demo:
            raise BadConfiguration("random backbone weights are for `make demo` alone", do=_ADVICE)
        digest = sha256(f"calibrated random {name}, seed {_RANDOM_SEED}".encode())
        return BackboneWeights(name, "random", digest, True, None)
    if wanted == "imagenet":
        path, source = _imagenet(name), "imagenet"
    elif wanted.startswith("s3://"):
        path, source = _fetched(settings, store, wanted), wanted
    else:
        path, source = Path(wanted).expanduser(), f"file {Path(wanted).name}"
        if not path.is_file():
            raise BadConfiguration("backbone weights not found", where=str(path), do=_ADVICE)
    return BackboneWeights(name, source, sha256_of_file(path), False, path)


def build_backbone(weights: BackboneWeights, image_size: int) -> Any:
    """The backbone without its top, as a Keras model for (N, size, size, 3), with ``weights`` loaded."""
    import keras

    build = getattr(keras.applications, BACKBONES[weights.name].application)
    shape = (image_size, image_size, 3)
    if weights.path is None:
        model = build(weights=None, include_top=False, input_shape=shape)
        _randomise(model)
        return model
    check_digest(sha256_of_file(weights.path), weights.sha256, str(weights.path))
    try:
        model = build(weights=str(weights.path), include_top=False, input_shape=shape)
    except (ValueError, OSError, KeyError) as error:
        raise BadConfiguration(
            f"the file does not hold the weights of {weights.name} without top",
            where=str(weights.path),
            found=str(error)[:200],
            do=_ADVICE,
        ) from error
    _refuse_dead_layers(model, weights.path)
    return model


def _refuse_dead_layers(model: Any, path: Path) -> None:
    """Raise BadConfiguration naming a layer whose weights are not finite, or whose kernel is all zero."""
    for layer in model.layers:
        for variable, values in zip(layer.weights, layer.get_weights(), strict=True):
            broken = "not finite" if not np.isfinite(values).all() else ""
            if not broken and variable.name == "kernel" and not values.any():
                broken = "all zero"
            if broken:
                raise BadConfiguration(
                    "the weights cannot be used",
                    where=f"{path}, layer {layer.name}",
                    found=broken,
                    do=_ADVICE,
                )


def _fetched(settings: Settings, store: ObjectStore, uri: str) -> Path:
    """A copy of the object in the cache folder, named by its digest and equal to it byte for byte."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    source = ObjectStore(store.client, bucket)
    try:
        stored = source.get(key)
    except ObjectMissing:
        raise BadConfiguration("backbone weights not found", where=uri, do=_ADVICE) from None
    suffix = ".weights.h5" if key.endswith(".weights.h5") else Path(key).suffix
    if settings.cache_folder is None:
        make_folder(settings.cache_root)
    path = make_folder(settings.cache_root / "weights") / f"{sha256(stored.body)}{suffix}"
    if not path.is_file() or path.read_bytes() != stored.body:
        with written_below(path.parent, len(stored.body)), work_folder(path.parent) as folder:
            (folder / path.name).write_bytes(stored.body)
            (folder / path.name).replace(path)
    return path


def _imagenet(name: str) -> Path:
    """The file that Keras keeps in its own cache, downloaded where it is not there yet."""
    import keras
    from keras.src.backend.config import keras_home

    url = f"{_PUBLISHED}/{BACKBONES[name].weights}"
    cached = Path(keras_home()) / "models" / Path(url).name
    if cached.is_file():
        return cached
    answered = threading.Event()
    threading.Thread(target=_probe, args=(url, answered), daemon=True).start()
    reason = f"no answer within {DOWNLOAD_PATIENCE:.0f} s"
    if answered.wait(DOWNLOAD_PATIENCE):
        try:
            return Path(keras.utils.get_file(Path(url).name, url, cache_subdir="models"))
        except Exception as error:  # noqa: BLE001 - Keras wraps whatever urllib raised in a bare Exception
            reason = str(error)[:200]
    raise BadConfiguration("the ImageNet weights cannot be downloaded", found=reason, do=_ADVICE)


def _probe(url: str, answered: threading.Event) -> None:
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_PATIENCE):  # noqa: S310 - the URL is Keras's own
            answered.set()
    except OSError as error:
        log.info("the server of the ImageNet weights: %s", error)


def _randomise(model: Any) -> None:
    """Give every convolution random weights that keep an image's own signal through all layers.

    He-normal kernels alone let the part that all images share drown the rest after a dozen
    layers, so each convolution is scaled and shifted to zero mean and unit deviation a channel
    on random smooth images (layer-sequential unit variance: Mishkin and Matas, 2016).
    """
    from keras import layers, ops

    rng = np.random.default_rng(_RANDOM_SEED)
    side = model.input.shape[1]
    values = {id(model.input): ops.convert_to_tensor(_smooth_images(rng, 8, min(side, 150), side))}
    for layer in model.layers[1:]:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        given = [values[id(tensor)] for tensor in inputs]
        if isinstance(layer, layers.Conv2D):
            _calibrate(layer, given[0], rng)
        if isinstance(layer, layers.BatchNormalization):
            _calibrate_norm(layer, given[0])
        values[id(layer.output)] = layer(given if isinstance(layer.input, list) else given[0])


def _calibrate(layer: Any, value: Any, rng: np.random.Generator) -> None:
    from keras import ops

    shape = layer.kernel.shape
    kernel = rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:3])), shape).astype(np.float32)
    if not layer.use_bias:
        layer.set_weights([kernel])
        return
    answer = np.asarray(ops.conv(value, kernel, layer.strides, layer.padding)).reshape(-1, shape[-1])
    deviation = answer.std(0) + 1e-3
    layer.set_weights([kernel / deviation, -answer.mean(0) / deviation])


def _calibrate_norm(layer: Any, value: Any) -> None:
    answer = np.asarray(value).reshape(-1, value.shape[-1])
    layer.moving_mean.assign(answer.mean(0))
    layer.moving_variance.assign(answer.var(0))


def _smooth_images(rng: np.random.Generator, count: int, grid: int, side: int) -> np.ndarray[Any, Any]:
    """Grey random fields with the 1/f spectrum of natural images, (count, side, side, 3), deviation 60."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    noise = np.fft.rfft2(rng.normal(size=(count, side, side)))
    fields = np.fft.irfft2(noise / (frequency + 1.0 / grid), s=(side, side))
    fields = 60.0 * fields / fields.std(axis=(1, 2), keepdims=True)
    return np.repeat(fields[..., None], 3, axis=3).astype(np.float32)
