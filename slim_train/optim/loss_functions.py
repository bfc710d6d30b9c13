"""Losses by name: the function of logits, labels and weights that ``--loss`` means."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from slim_train.errors import UsageError
from slim_train.extensions import loss_registry
from slim_train.registry import BUILT_IN
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions
from slim_train.user_functions import takes

# Below that 1 - p counts as this: powers below 1 have no derivative at 0.
_LEAST_DISTANCE = 1e-12


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss of classification.

    Attributes:
      name: what ``--loss`` takes.
      function: (logits float32 [B, C], labels int64 [B], weights float32 [B]) -> float32: each image's loss times its
        weight, [B], or a scalar.
    """

    name: str
    function: Callable[[Any, Any, Any], Any]

    def __call__(self, logits: Any, labels: Any, weights: Any, uses_weights: bool = False) -> Any:
        """Return what the function gives.

        Args:
          uses_weights: refuse a function that ignores the weights.

        Raises:
          UsageError: the function is not slim-train's, and fails or gives something else than a loss.
        """
        with loss_registry.calling(self.name):
            loss = tf.convert_to_tensor(self.function(logits, labels, weights))
        if loss_registry.origin(self.name) != BUILT_IN:
            self._check(loss, logits, weights if uses_weights else None)
        return loss

    def _check(self, loss: Any, logits: Any, weights: Any) -> None:
        what = f"The loss {self.name!r} ({loss_registry.origin(self.name)}) must return"
        batch = logits.shape[:1]
        if loss.dtype != tf.float32:
            raise UsageError(f"{what} float32, not {loss.dtype.name}.")
        if loss.shape.rank not in (0, 1) or (loss.shape.rank == 1 and not loss.shape.is_compatible_with(batch)):
            raise UsageError(f"{what} a loss for each image, shape {batch}, or a scalar, not the shape {loss.shape}.")
        if tf.gradients(loss, logits)[0] is None:
            raise UsageError(f"{what} something with a gradient: it does not depend on the logits, or by steps only.")
        if weights is not None and tf.gradients(loss, weights)[0] is None:
            raise UsageError(f"{what} losses times weights for --class_weights: it ignores the weights.")


def make_loss(options: OptimizerOptions) -> Loss:
    """Return the loss that the options name.

    Raises:
      UsageError: the name is unknown, or the loss does not support ``--label_smoothing``.
    """
    own: dict[str, Callable[..., Any]] = {
        "softmax": softmax,
        "focal": functools.partial(focal, gamma=options.focal_gamma),
    }
    function = own[options.loss] if options.loss in own else loss_registry.get(options.loss)
    if takes(function, "label_smoothing"):
        function = functools.partial(function, label_smoothing=options.label_smoothing)
    elif options.label_smoothing:
        raise UsageError(
            f"--label_smoothing={options.label_smoothing:g} is not supported by --loss={options.loss}, which does not "
            "take label_smoothing."
        )
    return Loss(options.loss, function)


def softmax(logits: Any, labels: Any, weights: Any, label_smoothing: float = 0.0) -> Any:
    """Softmax cross entropy, [B].

    Args:
      label_smoothing: share of the target spread evenly over all classes, in [0, 1] (Szegedy et al. 2015).
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if label_smoothing:
        # The cross entropy with a target of 1/C everywhere is the mean of -log softmax: no one-hot labels are needed.
        uniform = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * uniform
    return weights * losses


def focal(logits: Any, labels: Any, weights: Any, gamma: float) -> Any:
    """Focal loss over softmax, [B]: cross entropy times (1 - p)**gamma, p being the probability of the label.

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, where it is written for sigmoids. Weights are its alpha.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    distance = tf.maximum(-tf.math.expm1(-losses), _LEAST_DISTANCE)  # exact where p is almost 1
    return weights * distance**gamma * losses
