"""Cells found by architecture search: pairs of operations on earlier maps, added up; shared by NASNet and PNASNet."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from slim_train.nets.blocks.heads import fitting_avg_pool2d, fully_connected_conv2d
from slim_train.nets.blocks.modes import is_training
from slim_train.tf_compat import slim, tf

Operation = Callable[[Any, int, int], Any]


@dataclasses.dataclass(frozen=True)
class _Map:
    """A feature map and its stride in image pixels, which tells maps of different levels apart at any image size."""

    tensor: Any
    stride: int


@dataclasses.dataclass(frozen=True)
class Pair:
    """A block of a cell: the sum of two operations, each on a map known by its index.

    Index 0 is the previous cell's output, 1 that of the cell before it, 2 the first pair's sum, and so on.
    """

    left: tuple[Operation, int]
    right: tuple[Operation, int]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The pairs of a cell and the indexes of the maps that make its output."""

    pairs: tuple[Pair, ...]
    output: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A cell's place in a net.

    Attributes:
      scope: of its variables.
      end_point: the name of its output, if it has one.
      cell: its structure.
      width: channels of each operation.
      stride: 2 to halve the size of the maps.
      previous: which earlier output is its second input: 0 none, 1 the net's first layer, 2 the first row, and so on.
    """

    scope: str
    end_point: str | None
    cell: Cell
    width: int
    stride: int
    previous: int


@dataclasses.dataclass(frozen=True)
class DropPath:
    """ScheduledDropPath (section 3 of arXiv:1707.07012), off in inference.

    Attributes:
      keep_prob: the chance that the last cell keeps the output of an operation at the end of training.
      steps: training steps over which dropping sets in, linearly.
    """

    keep_prob: float
    steps: int

    def __call__(self, net: Any, depth: float) -> Any:
        """Set the maps of some images of ``net``, [batch, height, width, channels], to zero and scale up the others.

        ``depth`` is the place of the cell in the net, up to 1 for the last: the deeper, the less is kept.
        """
        if self.keep_prob == 1.0 or not is_training(slim.dropout):
            return net
        # A graph that has no global step gets one here, in the scope of the cell: so it is with the released nets.
        progress = tf.cast(tf.train.get_or_create_global_step(), tf.float32) / self.steps
        keep_prob = 1.0 - tf.minimum(progress, 1.0) * depth * (1.0 - self.keep_prob)
        kept = tf.floor(keep_prob + tf.random_uniform([tf.shape(net)[0], 1, 1, 1]))
        return net * kept / keep_prob


def separable(kernel: int) -> Operation:
    """ReLU, separable convolution and batch norm, twice; the stride is that of the first."""

    def apply(net: Any, width: int, stride: int) -> Any:
        for number in (1, 2):
            net = slim.separable_conv2d(
                tf.nn.relu(net),
                width,
                kernel,
                depth_multiplier=1,
                stride=stride if number == 1 else 1,
                scope=f"separable_{kernel}x{kernel}_{number}",
            )
            net = slim.batch_norm(net, scope=f"bn_sep_{kernel}x{kernel}_{number}")
        return net

    return apply


def avg_pool(net: Any, width: int, stride: int) -> Any:
    """3x3 average pooling, projected where the width is another."""
    return _projected(slim.avg_pool2d(net, 3, stride=stride, padding="SAME"), width)


def max_pool(net: Any, width: int, stride: int) -> Any:
    """3x3 max pooling, projected where the width is another."""
    return _projected(slim.max_pool2d(net, 3, stride=stride, padding="SAME"), width)


def identity(net: Any, width: int, stride: int) -> Any:
    """Return the map itself, through ReLU and a projection where the size or the width is another."""
    if stride == 1 and net.shape.as_list()[-1] == width:
        return net
    return _projection(tf.nn.relu(net), width, stride)


def stack_cells(stem: Any, stem_stride: int, rows: Sequence[Row], drop_path: DropPath) -> dict[str, Any]:
    """Return the cells of ``rows`` one after the other on the output of the first layer; their end points, in order."""
    outputs: list[_Map | None] = [None, _Map(stem, stem_stride)]
    end_points = {}
    for number, row in enumerate(rows, start=1):
        drop = functools.partial(drop_path, depth=number / len(rows))
        current = outputs[-1]
        assert current is not None
        output = _cell(row, current, outputs[row.previous], drop)
        outputs.append(output)
        if row.end_point:
            end_points[row.end_point] = output.tensor
    return end_points


def _cell(row: Row, current: _Map, previous: _Map | None, drop: Callable[[Any], Any]) -> _Map:
    with tf.variable_scope(row.scope, values=[current.tensor]):
        maps = _inputs(current, previous, row.width)
        for number, pair in enumerate(row.cell.pairs):
            with tf.variable_scope(f"comb_iter_{number}"):
                sides = []
                for side, (operation, index) in (("left", pair.left), ("right", pair.right)):
                    with tf.variable_scope(side):
                        # Sums inside the cell have the size of its output already.
                        net = operation(maps[index], row.width, row.stride if index < 2 else 1)
                        sides.append(net if operation is identity else drop(net))
                maps.append(sides[0] + sides[1])
        output = tf.concat([_fitted(maps[index], row.width, index) for index in row.cell.output], axis=3)
    return _Map(output, current.stride * row.stride)


def auxiliary_logits(net: Any, num_classes: int, map_size: int, scope: str) -> Any:
    """Logits, [batch, num_classes], of the map of an inner cell; ``map_size`` is that of the wide layer's kernel."""
    with tf.variable_scope(scope), tf.variable_scope("aux_logits"):
        net = fitting_avg_pool2d(tf.nn.relu(net), 5, stride=3, scope="AvgPool2D")
        net = slim.conv2d(net, 128, 1, scope="proj")
        net = tf.nn.relu(slim.batch_norm(net, scope="aux_bn0"))
        net = fully_connected_conv2d(net, 768, map_size, scope="Conv")
        net = tf.nn.relu(slim.batch_norm(net, scope="aux_bn1"))
        return slim.fully_connected(tf.reduce_mean(net, [1, 2]), num_classes, scope="FC")


def classifier(net: Any, end_points: dict[str, Any], num_classes: int, dropout_keep_prob: float) -> Any:
    """Logits, [batch, num_classes], of the last cell; without classes its pooled features, [batch, width]."""
    with tf.variable_scope("final_layer"):
        net = end_points["global_pool"] = tf.reduce_mean(tf.nn.relu(net), [1, 2], name="global_pool")
        if not num_classes:
            return net
        net = slim.dropout(net, dropout_keep_prob, scope="dropout")
        logits = end_points["Logits"] = slim.fully_connected(net, num_classes, scope="FC")
        end_points["Predictions"] = tf.nn.softmax(logits, name="predictions")
        return logits


def nasnet_arg_scope(
    default_decay: float, epsilon: float, weight_decay: float, batch_norm_decay: float | None = None
) -> dict[Any, Any]:
    """Activations and batch norm stand in the cells as layers of their own; every weight is regularized."""
    decay = default_decay if batch_norm_decay is None else batch_norm_decay
    with (
        slim.arg_scope([slim.batch_norm], decay=decay, epsilon=epsilon, scale=True),
        slim.arg_scope([slim.conv2d, slim.separable_conv2d], biases_initializer=None),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d, slim.fully_connected],
            activation_fn=None,
            weights_initializer=slim.variance_scaling_initializer(mode="FAN_OUT"),
            weights_regularizer=slim.l2_regularizer(weight_decay),
        ) as scope,
    ):
        return scope


def _inputs(current: _Map, previous: _Map | None, width: int) -> list[Any]:
    """Both inputs of a cell with the size of the current one; the widths agree if there is a previous cell."""
    if previous is None:
        other = current.tensor
    elif previous.stride != current.stride:
        other = _factorized_reduction(tf.nn.relu(previous.tensor), width)
    elif previous.tensor.shape.as_list()[-1] != width:
        other = slim.conv2d(tf.nn.relu(previous.tensor), width, 1, scope="prev_1x1")
        other = slim.batch_norm(other, scope="prev_bn")
    else:
        other = previous.tensor
    net = slim.conv2d(tf.nn.relu(current.tensor), width, 1, scope="1x1")
    return [slim.batch_norm(net, scope="beginning_bn"), other]


def _factorized_reduction(net: Any, width: int) -> Any:
    """Half the size by two projections, one of the even positions and one of the odd, so that no pixel is lost."""
    even = slim.avg_pool2d(net, 1, stride=2, padding="VALID")
    odd = tf.pad(net, [[0, 0], [0, 1], [0, 1], [0, 0]])[:, 1:, 1:, :]
    odd = slim.avg_pool2d(odd, 1, stride=2, padding="VALID")
    net = tf.concat(
        [
            slim.conv2d(even, width // 2, 1, scope="path1_conv"),
            slim.conv2d(odd, width - width // 2, 1, scope="path2_conv"),
        ],
        axis=3,
    )
    return slim.batch_norm(net, scope="final_path_bn")


def _fitted(net: Any, width: int, index: int) -> Any:
    """Return a map as part of a cell's output, projected where the width is another."""
    if net.shape.as_list()[-1] == width:
        return net
    with tf.variable_scope(f"cell_output/reduction_{index}"):
        return slim.batch_norm(slim.conv2d(net, width, 1, scope="path_conv"), scope="path_bn")


def _projected(net: Any, width: int) -> Any:
    return net if net.shape.as_list()[-1] == width else _projection(net, width, stride=1)


def _projection(net: Any, width: int, stride: int) -> Any:
    return slim.batch_norm(slim.conv2d(net, width, 1, stride=stride, scope="1x1"), scope="bn_1")
