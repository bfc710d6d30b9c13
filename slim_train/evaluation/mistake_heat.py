"""Where a net looks when it is wrong: Grad-CAM of the worst mistakes of an evaluation, in its session."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from slim_train.evaluation.mistakes import Mistake
from slim_train.inference.grad_cam import heat_function, last_spatial
from slim_train.model.spec import ModelSpec
from slim_train.reports.heat_map import encode_jpeg, heat_overlay
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

# Each takes a forward pass of the net, and 4 kB of a page.
MOST_EXPLAINED = 100


class MistakeHeat:
    """Draws what a net looked at over the images that it took for another class.

    It adds ops to the graph of the session. Each call costs as much as evaluating these images again.

    Args:
      session: with trained values.
      images: the tensor that holds a batch of the evaluation, [N, height, width, channels]; it is fed.
      logits: of these images, [N, classes].
      model: the net and its preprocessing.
    """

    def __init__(self, session: Any, images: Any, logits: Any, model: ModelSpec) -> None:
        self._batch_size = images.shape.as_list()[0]
        size, channels, recipe = model.image_size, model.channels, model.recipe
        with session.graph.as_default():
            scores = tf.nn.softmax(logits)
            self._heat = None
            if last_spatial(images, scores) is None:
                return
            with tf.device("/device:CPU:0"):
                encoded = tf.placeholder(tf.string, [])
                decoded = recipe.decode_eval(encoded, size, size, channels)
                pixels = tf.placeholder(tf.float32, [None, size, size, channels])
                prepared = recipe.eval_batch(pixels)
            self._decode = session.make_callable(decoded, [encoded])
            self._prepare = session.make_callable(prepared, [pixels])
        self._heat = heat_function(session, images, scores, model.name)

    def draw(self, mistakes: Sequence[Mistake]) -> list[Mistake]:
        """Return mistakes, the first 100 of them with the heat of the predicted class.

        They are as they were if the net has no feature map.
        """
        if self._heat is None:
            return list(mistakes)
        drawn: list[Mistake] = []
        shown = mistakes[:MOST_EXPLAINED]
        for begin in range(0, len(shown), self._batch_size):
            batch = shown[begin : begin + self._batch_size]
            pixels = np.stack([self._decode(mistake.image) for mistake in batch])
            # The batch of an evaluation has a fixed size: what is missing repeats the first image.
            rows = np.arange(self._batch_size) % len(batch)
            classes = np.array([mistake.predicted for mistake in batch], np.int64)
            heats = self._heat(self._prepare(pixels)[rows], classes[rows])
            for mistake, image, heat in zip(batch, pixels, heats, strict=False):
                drawn.append(dataclasses.replace(mistake, heat=encode_jpeg(heat_overlay(image, heat))))
        return [*drawn, *mistakes[MOST_EXPLAINED:]]
