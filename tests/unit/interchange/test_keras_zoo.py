"""Every net of the zoo to Keras and back, on photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.interchange.keras_checkpoint import convert_keras
from slim_train.interchange.keras_model import build_model
from slim_train.interchange.read_layers import read_layers
from slim_train.interchange.stored_layers import difference_from, write_layers
from slim_train.nets.factory import get_network_fn, get_record, net_names
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import dropouts_noted, keras_3, slim, tf

NUM_CLASSES = 10


def photographs(folder: Path, size: int, channels: int) -> np.ndarray:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".bmp", ".jpg"))
    mode = "L" if channels == 1 else "RGB"
    images = [np.asarray(Image.open(path).convert(mode).resize((size, size)), np.float32) for path in paths]
    return np.reshape(images, [len(images), size, size, channels])


def made_weights(name: str, pixels: np.ndarray) -> dict[str, Any]:
    """Return initial weights, and the statistics of batch norm that the images have under them."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.set_random_seed(0)
        inputs = get_recipe(get_record(name).preprocessing).eval_batch(tf.constant(pixels))
        get_network_fn(name, NUM_CLASSES, is_training=True, batch_norm_decay=0.0)(inputs)
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        return session.run({variable.op.name: variable for variable in slim.get_model_variables()})


@pytest.mark.slow
@pytest.mark.parametrize("name", net_names())
def test_a_net_answers_in_keras_as_here_and_comes_back_to_the_bit(
    name: str, shared_data: Path, tmp_path: Path, record_property: Any
) -> None:
    record = get_record(name)
    size = record.default_image_size
    pixels = photographs(shared_data / "images", size, record.channels)
    values = made_weights(name, pixels)
    with tf.Graph().as_default() as graph, dropouts_noted() as rates, tf.Session(graph=graph) as session:
        images = tf.placeholder(tf.float32, [None, size, size, record.channels])
        logits, _ = get_network_fn(name, NUM_CLASSES)(get_recipe(record.preprocessing).eval_batch(images))
        scores = tf.nn.softmax(logits)
        layers = read_layers(images, scores, rates)
        for variable in slim.get_model_variables():
            variable.load(values[variable.op.name], session)
        expected, numbers = session.run([scores, logits], {images: pixels})
    assert 1e-3 < np.ptp(numbers, axis=0).max() < 1e3  # the images make a difference, and no more
    path = tmp_path / "model.keras"
    build_model(name, layers, values).save(path)
    model = keras_3().saving.load_model(path)
    model.compile(jit_compile=False)
    difference = float(np.abs(model.predict(pixels, verbose=0) - expected).max())
    record_property("difference", difference)
    assert difference < 1e-4
    converted = convert_keras(path, tmp_path / "none.json")
    assert set(converted.values) == set(layers.variables())
    assert all(np.array_equal(value, values[variable]) for variable, value in converted.values.items())
    assert converted.facts.image_size == size
    assert converted.facts.preprocessing == record.preprocessing
    assert converted.layers is not None
    write_layers(tmp_path, converted.layers)
    assert difference_from(tmp_path, images, scores) == ""
