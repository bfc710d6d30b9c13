"""Evaluation with mirror images."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from datasets import tfrecords
from datasets.spec import DatasetSpec
from slim_train.errors import UsageError
from slim_train.evaluation.evaluate import Evaluator, at_temperature, check_class_names, flip_averaged
from slim_train.model.spec import resolve_model
from slim_train.tf_compat import tf


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_the_probabilities_of_both_images_are_averaged() -> None:
    random = np.random.default_rng(0)
    images, weights = random.normal(size=(5, 4, 6, 1)), random.normal(size=(24, 3))

    def network(batch: Any) -> Any:
        return tf.matmul(tf.reshape(batch, [-1, 24]), tf.constant(weights)), {}

    with tf.Graph().as_default(), tf.Session() as session:
        averaged = session.run(flip_averaged(network, tf.constant(images)))
    plain, mirrored = (softmax(batch.reshape(-1, 24) @ weights) for batch in (images, images[:, :, ::-1]))
    np.testing.assert_allclose(softmax(averaged), (plain + mirrored) / 2, rtol=1e-5)
    np.testing.assert_allclose(np.exp(averaged).sum(axis=-1), 1.0, rtol=1e-5)


def test_logits_are_divided_by_the_temperature_of_the_file() -> None:
    logits, end_points = at_temperature(lambda images: (images * 3.0, {"a": images}), 1.5)(np.ones(2))
    assert logits.tolist() == [2.0, 2.0]
    assert end_points["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("named", "first"),
    [
        (("cat", "wolf", "emu"), "class 1 is 'wolf' in the file and 'dog' in the data set"),
        (("dog", "cat", "emu"), "class 0 is 'dog' in the file and 'cat' in the data set"),
        (("cat", "dog"), "class 2 is 'missing' in the file and 'emu' in the data set"),
        (("cat", "dog", "emu"), ""),
        (("0", "1", "2"), ""),
    ],
)
def test_a_model_file_with_other_classes_than_the_data_set_is_refused(named: tuple[str, ...], first: str) -> None:
    if not first:
        check_class_names("net.keras", named, ("cat", "dog", "emu"))
        return
    with pytest.raises(UsageError, match=f"net.keras knows other classes than the data set: {first}"):
        check_class_names("net.keras", named, ("cat", "dog", "emu"))


@pytest.mark.parametrize("flip", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_mirrored_split_is_the_same_to_an_evaluator_that_flips(
    write_training_folder: Callable[..., Path], photo: Callable[..., bytes], tmp_path: Path, flip: bool
) -> None:
    folder = write_training_folder(tmp_path / "trained", model_name="mobilenet_v1_025")
    logits = []
    for mirror in (False, True):
        records = []
        for number in range(3):
            image = Image.open(io.BytesIO(photo("PNG", size=(64, 64), seed=number)))
            buffer = io.BytesIO()
            (ImageOps.mirror(image) if mirror else image).save(buffer, "PNG")
            records.append(tfrecords.image_example(buffer.getvalue(), "png", number, "x", 64, 64, f"{number}.png"))
        path = tmp_path / f"toy_test_{mirror}.tfrecord"
        tfrecords.write_records(str(path), records)
        dataset = DatasetSpec("toy", "test", str(tmp_path), (str(path),), 5, 3, tuple("abcde"))
        model = resolve_model("mobilenet_v1_025", dataset, image_size=64, preprocessing="lenet")
        evaluator = Evaluator(dataset, model, batch_size=2, flip=flip)
        seen: list[np.ndarray] = []
        metrics = evaluator.evaluate(str(folder / "model.ckpt-7"), lambda batch, values, seen=seen: seen.append(values))
        evaluator.close()
        assert metrics.images == 3
        logits.append(np.concatenate(seen))
    assert np.allclose(*map(softmax, logits), atol=1e-4) == flip
