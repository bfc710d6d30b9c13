"""What the rest of slim-train knows about a net."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from slim_train.tf_compat import slim

# (images, num_classes, **kwargs) -> (logits, end_points), or (features, end_points) when num_classes is 0.
Builder = Callable[..., tuple[Any, dict[str, Any]]]
# (weight_decay, batch_norm_decay) -> the slim arg scope of the net; None means the decay of the net's authors.
ArgScope = Callable[[float, float | None], dict[Any, Any]]


def weight_decay_alone(weight_decay: float, batch_norm_decay: float | None = None) -> dict[Any, Any]:
    """Return the arg scope of nets that bring none: an L2 penalty on the weights of slim's layers."""
    layers = [slim.conv2d, slim.separable_conv2d, slim.fully_connected]
    with slim.arg_scope(layers, weights_regularizer=slim.l2_regularizer(weight_decay)) as scope:
        return scope


@dataclasses.dataclass(frozen=True)
class NetRecord:
    """One net: of the zoo, or of a user.

    A user's record needs a name and a builder. slim-train finds the other facts by building the net.

    Attributes:
      name: what ``--model_name`` takes.
      builder: makes the graph. It says nothing of training or inference: whether dropout drops and which statistics
        batch norm uses is set around it, through slim's arg scopes, by ``factory.get_network_fn``.
      arg_scope: regularizers, initializers, normalization and activations of the layers.
      default_image_size: height and width in pixels that the released weights were trained at.
      preprocessing: the name of the recipe in ``slim_train.preprocessing`` that goes with the net.
      head_scopes: the scopes, auxiliary heads included, of exactly the variables whose shapes depend on the number of
        classes. Found if empty.
      feature_end_point: the end point that is classified; one vector of ``feature_width`` numbers per image. Found if
        empty.
      paper: where the net was published.
      channels: image channels that the default preprocessing gives.
      min_image_size: the smallest height and width in pixels that leaves something to classify.
      num_classes: of the released weights, or of the data that the net's authors trained on; 1001 are ImageNet's with a
        class 0 for background.
      num_parameters: trained numbers between image and logits at the default image size with ``num_classes`` classes,
        as ``costs.count_costs`` counts them; None if nobody has.
      flops: floating-point operations for one image, counted in the same way.
      imagenet_top1: percent of ImageNet's validation images that the released weights label right, one crop each, as
        research/slim states it; None if no weights were released.
      checkpoint_url: the archive of the released weights; None if none were.
      checkpoint_image_size: height and width in pixels that the released weights were evaluated at, where that is not
        the default.
      checkpoint_preprocessing: the recipe that the released weights were trained with, where that is not
        ``preprocessing``.
      files: of the code of a user's net.
      digest: hex digest of the code of a net that is not slim-train's; "" for the zoo's.
    """

    name: str
    builder: Builder
    arg_scope: ArgScope = weight_decay_alone
    default_image_size: int = 224
    preprocessing: str = "inception"
    head_scopes: tuple[str, ...] = ()
    feature_end_point: str = ""
    feature_width: int = 0
    paper: str = ""
    channels: int = 3
    min_image_size: int = 1
    num_classes: int = 1000
    num_parameters: int | None = None
    flops: int | None = None
    imagenet_top1: float | None = None
    checkpoint_url: str | None = None
    checkpoint_image_size: int | None = None
    checkpoint_preprocessing: str | None = None
    files: tuple[str, ...] = ()
    digest: str = ""
