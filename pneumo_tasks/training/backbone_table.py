"""What is known of each backbone: a new one is an entry here, and a recipe that names it."""

from dataclasses import dataclass

# What keras.applications' preprocess_input does, as a scale and an offset for each channel.
_BGR_MEANS = (1.0, (-103.939, -116.779, -123.68))
_FROM_MINUS_ONE = (1.0 / 127.5, (-1.0, -1.0, -1.0))


@dataclass(frozen=True)
class Backbone:
    """``application`` is a class of ``keras.applications``, ``weights`` its ImageNet file without top.

    ``last`` is the layer that the article's head reads. ``pooled`` names, for each mean over a map, the
    layer of that map; a linear head reads all of them together. ``free_cuts`` are outputs that any pass
    yields at no extra cost, so that the next recipe finds them.
    """

    application: str
    weights: str
    preprocessing: tuple[float, tuple[float, float, float]]
    last: str
    pooled: tuple[tuple[str, str], ...] = ()
    free_cuts: tuple[str, ...] = ()


BACKBONES: dict[str, Backbone] = {
    "vgg16": Backbone(
        "VGG16",
        "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        _BGR_MEANS,
        "block5_pool",
        tuple((f"{block}_gap", f"{block}_pool") for block in ("block3", "block4", "block5")),
        ("block4_pool", "block5_pool", "block3_gap", "pooled"),
    ),
    "inceptionv3": Backbone(
        "InceptionV3",
        "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        _FROM_MINUS_ONE,
        "mixed10",
        free_cuts=("mixed10",),
    ),
}
