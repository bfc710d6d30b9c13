"""Where a net looks in the worst mistakes of an evaluation."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.spec import DatasetSpec
from slim_train.evaluation.evaluate import Evaluator
from slim_train.evaluation.mistake_heat import MOST_EXPLAINED, MistakeHeat
from slim_train.evaluation.mistakes import Mistake
from slim_train.model.spec import resolve_model
from slim_train.tf_compat import slim, tf


def mistakes_of(images: list[bytes]) -> list[Mistake]:
    return [Mistake(data, f"{number}.png", 0, number % 5, 0.9) for number, data in enumerate(images)]


def pixels(encoded: bytes | None) -> Any:
    assert encoded
    return np.asarray(Image.open(io.BytesIO(encoded)), np.float32)


@pytest.fixture
def evaluators(mobilenet_folder: Path, photo_split: DatasetSpec) -> Iterator[Callable[..., Evaluator]]:
    """``evaluators(batch_size, flip)`` evaluate three photos, and have evaluated them."""
    model = resolve_model("mobilenet_v1_025", photo_split, image_size=64, preprocessing="lenet")
    made = []

    def make(batch_size: int, flip: bool = False) -> Evaluator:
        made.append(Evaluator(photo_split, model, batch_size=batch_size, flip=flip))
        made[-1].evaluate(str(mobilenet_folder / "model.ckpt-7"))
        return made[-1]

    yield make
    for evaluator in made:
        evaluator.close()


def test_each_mistake_has_its_heat_whatever_the_batch_of_the_evaluation_and_with_mirror_images(
    evaluators: Callable[..., Evaluator], photo: Callable[..., bytes]
) -> None:
    shown = mistakes_of([photo("PNG", size=(64, 64), seed=number) for number in range(3)])
    in_one = evaluators(5, flip=True).explain(shown)
    in_two = evaluators(2, flip=True).explain(shown)
    assert [mistake.file for mistake in in_two] == ["0.png", "1.png", "2.png"]
    for one, two in zip(in_one, in_two, strict=True):
        assert np.abs(pixels(one.heat) - pixels(two.heat)).mean() < 1
    assert np.abs(pixels(in_two[0].heat) - pixels(in_two[1].heat)).mean() > 5


def test_beyond_a_hundred_mistakes_stay_as_they_are(
    evaluators: Callable[..., Evaluator], photo: Callable[..., bytes]
) -> None:
    explained = evaluators(64).explain(mistakes_of([photo("PNG", size=(64, 64))] * (MOST_EXPLAINED + 2)))
    assert [bool(mistake.heat) for mistake in explained] == [True] * MOST_EXPLAINED + [False] * 2


def test_a_net_without_a_feature_map_has_none() -> None:
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        images = tf.placeholder(tf.float32, [2, 8, 8, 3])
        logits = slim.fully_connected(slim.flatten(images), 4, activation_fn=None)
        model: Any = SimpleNamespace(image_size=8, channels=3, recipe=None, name="dense")
        shown = mistakes_of([b"never decoded"])
        assert MistakeHeat(session, images, logits, model).draw(shown) == shown


def test_an_image_that_fails_costs_the_heat_and_not_the_evaluation(
    evaluators: Callable[..., Evaluator], caplog: pytest.LogCaptureFixture
) -> None:
    shown = mistakes_of([b"no image"])
    with caplog.at_level(logging.WARNING):
        assert evaluators(2).explain(shown) == shown
    assert "does not show where the net looks" in caplog.text
