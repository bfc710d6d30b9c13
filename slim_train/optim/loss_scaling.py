"""Dynamic loss scaling, without which small gradients of a float16 computation would vanish.

Micikevicius et al., "Mixed Precision Training", 2018: the loss is multiplied before gradients are computed, and these
are divided by the same factor afterwards, in float32. The factor grows as far as float16 allows: a step whose gradients
overflow is skipped and the factor is halved, and after many steps without it is doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slim_train.tf_compat import tf

_INITIAL_SCALE = 2.0**15
_LEAST_SCALE = 1.0
_GREATEST_SCALE = 2.0**30


class LossScaled(tf.train.Optimizer):
    """An optimizer whose gradients are computed from a scaled loss, and that skips steps where they are not finite.

    A step that is skipped changes no variable, slots and the global step included. Scale and counter are local
    variables: checkpoints are the same with and without scaling, and training that resumes finds its scale again. All
    tasks that apply the same gradients keep the same scale.

    Args:
      optimizer: a ``tf.train.Optimizer``.
      growth_steps: steps in a row with finite gradients after which the scale doubles.
    """

    def __init__(self, optimizer: Any, growth_steps: int = 2000) -> None:
        super().__init__(use_locking=False, name=f"{optimizer.get_name()}LossScaled")
        self._optimizer, self._growth_steps = optimizer, growth_steps
        self.scale = _local_variable("loss_scale", _INITIAL_SCALE)
        self._finite_steps = _local_variable("loss_scale_finite_steps", 0)

    def compute_gradients(self, loss: Any, *args: Any, **kwargs: Any) -> list[tuple[Any, Any]]:
        """As ``tf.train.Optimizer``'s, to the same values."""
        scale = self.scale.read_value()
        gradients = self._optimizer.compute_gradients(loss * tf.cast(scale, loss.dtype), *args, **kwargs)
        # A power of two: multiplying is exact.
        return [(_times(gradient, 1.0 / scale), variable) for gradient, variable in gradients]

    def apply_gradients(
        self, grads_and_vars: Sequence[tuple[Any, Any]], global_step: Any = None, name: str | None = None
    ) -> Any:
        """Return the op that updates variables and global step if all gradients are finite, and then the scale."""
        grads_and_vars = list(grads_and_vars)
        is_finite = tf.reduce_all([_is_finite(gradient) for gradient, _ in grads_and_vars if gradient is not None])

        def update() -> Any:
            with tf.control_dependencies([self._optimizer.apply_gradients(grads_and_vars, global_step, name)]):
                return tf.constant(True)

        applied = tf.cond(is_finite, update, lambda: tf.constant(False))
        # Not before the step is made: its gradients are divided by the scale as it was.
        with tf.control_dependencies([applied]):
            return self._update_scale(is_finite)

    def variables(self) -> list[Any]:
        """Slots and the like of the wrapped optimizer."""
        return self._optimizer.variables()

    def _update_scale(self, is_finite: Any) -> Any:
        count = tf.where(is_finite, self._finite_steps.read_value() + 1, 0)
        scale = self.scale.read_value()
        grows = count >= self._growth_steps
        scale = tf.where(is_finite, tf.where(grows, scale * 2.0, scale), scale / 2.0)
        return tf.group(
            self.scale.assign(tf.clip_by_value(scale, _LEAST_SCALE, _GREATEST_SCALE)),
            self._finite_steps.assign(tf.where(grows, 0, count)),
        )


def _local_variable(name: str, value: float | int) -> Any:
    return tf.get_variable(
        name, initializer=value, trainable=False, use_resource=True, collections=[tf.GraphKeys.LOCAL_VARIABLES]
    )


def _times(gradient: Any, factor: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_times(gradient.values, factor), gradient.indices, gradient.dense_shape)
    return None if gradient is None else gradient * tf.cast(factor, gradient.dtype)


def _is_finite(gradient: Any) -> Any:
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return tf.reduce_all(tf.math.is_finite(values))
