"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slim_train.tf_compat import tf


class AdamW(tf.train.AdamOptimizer):
    """Adam with decoupled weight decay: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019.

    Before each Adam update a variable loses the share ``learning_rate * weight_decay`` of itself. As in PyTorch's AdamW
    the share follows the learning rate through its schedule. Vectors and scalars keep their size: these are biases and
    batch norm's gammas and betas. Regularization losses must not be part of the loss, or weights decay twice.

    Args:
      weight_decay: decay rate; customary values, 0.01 to 0.1, are far above those of L2 losses.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "AdamW",
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, name=name)
        self._rate = learning_rate
        self._weight_decay = weight_decay

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return self._decayed_first(var, grad, lambda: super(AdamW, self)._apply_dense(grad, var))

    def _resource_apply_dense(self, grad: Any, var: Any) -> Any:
        return self._decayed_first(var, grad, lambda: super(AdamW, self)._resource_apply_dense(grad, var))

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return self._decayed_first(var, grad.values, lambda: super(AdamW, self)._apply_sparse(grad, var))

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any) -> Any:
        return self._decayed_first(var, grad, lambda: super(AdamW, self)._resource_apply_sparse(grad, var, indices))

    def _decayed_first(self, variable: Any, gradient: Any, update: Callable[[], Any]) -> Any:
        if not self._weight_decay or variable.shape.rank < 2:
            return update()
        # Not before the gradient is known: the forward pass must read the variable as the last step left it.
        with tf.control_dependencies([gradient]):
            rate = tf.convert_to_tensor(self._rate)
            share = tf.cast(rate * self._weight_decay, variable.dtype.base_dtype)
            decay = variable.assign_sub(share * variable.read_value(), read_value=False)
        with tf.control_dependencies([decay]):
            return update()
