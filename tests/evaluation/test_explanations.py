import base64
import io

import numpy as np
import pandas as pd
from PIL import Image

from pneumo_tasks.evaluation.explanations import explain, grad_cam, worst_misses


def test_the_map_is_hot_where_the_score_would_change() -> None:
    import keras

    film = keras.Input((None, None, 1), dtype="uint8")
    small = keras.layers.Resizing(16, 16)(keras.layers.Rescaling(1 / 255)(film))
    maps = keras.layers.Conv2D(1, 1, kernel_initializer="ones")(small)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(film, keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(pooled))
    shown = np.zeros((64, 64), np.uint8)
    shown[40:60, 8:20] = 255
    heat = grad_cam(model, [shown])[0]
    assert heat is not None
    row, column = np.unravel_index(heat.maps[0].argmax(), heat.maps[0].shape)
    assert 10 <= row <= 14
    assert 2 <= column <= 4
    picture = explain(model, [("a", np.tile(shown, (20, 10)))])[0]
    assert picture.heat is not None
    assert max(Image.open(io.BytesIO(base64.b64decode(picture.heat))).size) <= 168


def test_a_model_without_a_convolution_has_pictures_but_no_map() -> None:
    import keras

    film = keras.Input((None, None, 1), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(film))
    model = keras.Model(film, keras.layers.Dense(1, activation="sigmoid")(pooled))
    picture = explain(model, [("a", np.full((50, 40), 9, np.uint8))])[0]
    assert picture.heat is None
    assert Image.open(io.BytesIO(base64.b64decode(picture.film))).size == (40, 50)


def test_the_most_confident_errors_are_the_worst() -> None:
    scores = pd.DataFrame(
        {
            "label": ["PNEUMONIA"] * 20 + ["NORMAL"] * 20,
            "probability": np.r_[np.linspace(0.01, 0.99, 20), np.linspace(0.01, 0.99, 20)],
            "sha256": range(40),
        }
    )
    scores["called"] = scores["probability"] >= 0.5
    assert list(worst_misses(scores)["sha256"]) == [0, 1, 2, 3, 4, 5, 39, 38, 37, 36, 35, 34]
