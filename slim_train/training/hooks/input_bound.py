"""Says at the beginning of a training, once, that decoding bounds it and not the net."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from slim_train.inputs.decoding_speed import DecodingCost
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

# The first steps are slow, and batches that were made meanwhile are waiting for the next.
_FIRST_STEPS, _STEPS, _SECONDS = 4, 10, 2.0
# For a measurement that is under way.
_MOST_SECS_AT_END = 5.0
# Share of the time from which decoding is the larger part of the work: of the decoding threads, or, if the net computes
# on the CPU too, of all CPU time of the process.
_BOUND = 0.5
# Sides for --max_image_side: what leaves random crops some detail.
_MAX_SIDE = 512


class InputBound(tf.train.SessionRunHook):
    """Compares the images that steps take in the beginning with those that can be decoded, and gives advice.

    Images are read and decoded in a thread: the store that they are in may be slow.

    Args:
      images_per_step: that this process decodes for one step.
      threads: that decode.
      cpus: of this machine that the process may use.
      image_size: of the net in pixels.
      scaled: whether large JPEGs are decoded smaller than they are.
      on_cpu: whether the net computes on the CPU.
      measure: returns the cost of decoding, or None if it cannot be told.
    """

    def __init__(
        self,
        images_per_step: int,
        threads: int,
        cpus: int,
        image_size: int,
        scaled: bool,
        on_cpu: bool,
        measure: Callable[[], DecodingCost | None],
    ) -> None:
        self._images_per_step, self._threads, self._cpus = images_per_step, min(threads, cpus), cpus
        self._image_size, self._scaled, self._measure = image_size, scaled, measure
        self._on_cpu = on_cpu
        self._steps, self._began, self._cpu_began = 0, 0.0, 0.0
        self._measuring: threading.Thread | None = None

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._measuring:
            return
        self._steps += 1
        if self._steps == _FIRST_STEPS:
            self._began, self._cpu_began = time.monotonic(), time.process_time()
        seconds = time.monotonic() - self._began
        if self._steps < _FIRST_STEPS + _STEPS or seconds < _SECONDS:
            return
        available = time.process_time() - self._cpu_began if self._on_cpu else seconds * self._threads
        images = (self._steps - _FIRST_STEPS) * self._images_per_step
        compare = functools.partial(self._compare, images, available)
        self._measuring = threading.Thread(target=compare, name="decoding-speed", daemon=True)
        self._measuring.start()

    def end(self, session: Any) -> None:
        if self._measuring:
            self._measuring.join(_MOST_SECS_AT_END)

    def _compare(self, images: int, available: float) -> None:
        cost = self._measure()
        if cost and images * cost.seconds >= _BOUND * available:
            log.info("%s", self.advice(cost))

    def advice(self, cost: DecodingCost) -> str:
        """Return what bounds the training, and what would help."""
        helps = [] if self._scaled else ["--scaled_decoding=auto"]
        max_side = max(_MAX_SIDE, 2 * self._image_size)
        if cost.side > 1.5 * max_side:
            helps.append(f"download_and_convert_data --max_image_side={max_side}")
        if self._threads < self._cpus:
            helps.append(f"--num_preprocessing_threads={self._cpus}")
        threads = f"{self._threads} thread{'' if self._threads == 1 else 's'}"
        rate = self._threads / cost.seconds
        return (
            f"Decoding bounds this training, not the net: images of {cost.side:,} pixels on the long side take "
            f"{1000 * cost.seconds:.1f} ms of a CPU each, and {threads} decode about {rate:,.0f} images/s. "
            f"What would help: {' or '.join(helps) or 'more CPUs'}."
        )
