"""Pooling and classification layers that close several families of nets, for feature maps of any size."""

from __future__ import annotations

from typing import Any

from slim_train.tf_compat import slim, tf


def global_average_pool(net: Any, name: str) -> Any:
    """Return the mean over all positions: [batch, height, width, channels] -> [batch, 1, 1, channels]."""
    return tf.reduce_mean(net, [1, 2], keepdims=True, name=name)


def pooled_classifier(
    net: Any,
    end_points: dict[str, Any],
    num_classes: int,
    *,
    pool: str,
    dropout: str,
    dropout_keep_prob: float,
    logits: str,
    dropped: str | None = None,
    predictions: str = "Predictions",
) -> Any:
    """Global pooling, dropout, a linear classifier and softmax, the last layers of most nets.

    Args:
      net: the last feature map, [batch, height, width, width of the features].
      end_points: gets ``pool``, ``dropped``, ``Logits`` and ``Predictions``.
      num_classes: without classes the pooled features are the output.
      pool: scope and end point of the pooled features.
      dropout: scope of the dropout layer.
      dropout_keep_prob: share of the features that dropout keeps.
      logits: scope of the classifier in the scope ``Logits``.
      dropped: end point of the features after dropout, if there is one.
      predictions: scope of the probabilities.

    Returns:
      The logits, [batch, num_classes], or the features, [batch, 1, 1, width].
    """
    with tf.variable_scope("Logits"):
        net = end_points[pool] = global_average_pool(net, pool)
        if not num_classes:
            return net
        net = slim.dropout(net, dropout_keep_prob, scope=dropout)
        if dropped:
            end_points[dropped] = net
        output = pointwise_logits(net, num_classes, scope=logits)
    end_points["Logits"] = output
    end_points["Predictions"] = slim.softmax(output, scope=predictions)
    return output


def pointwise_logits(features: Any, num_classes: int, scope: str, **conv_arguments: Any) -> Any:
    """Return a linear classifier as a 1x1 convolution: [batch, 1, 1, width] -> [batch, num_classes]."""
    logits = slim.conv2d(
        features, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope=scope, **conv_arguments
    )
    return tf.squeeze(logits, [1, 2], name="SpatialSqueeze")


def fully_connected_conv2d(net: Any, width: int, size: int, scope: str, **conv_arguments: Any) -> Any:
    """Return a fully connected layer over ``size`` x ``size`` maps as a convolution, so that other sizes work too.

    A larger map gives one output per place where the kernel fits; a smaller one is padded with zeros (SAME) and gives
    one output per position. The weights are [size, size, channels, width] whatever the map.
    """
    padding = "VALID" if min(_map_size(net, size)) >= size else "SAME"
    return slim.conv2d(net, width, [size, size], padding=padding, scope=scope, **conv_arguments)


def convolutional_mlp(
    net: Any, num_classes: int, map_size: int, widths: tuple[int, int], dropout_keep_prob: float
) -> tuple[Any, dict[str, Any]]:
    """Return the layers fc6, fc7 and fc8 of AlexNet and its successors, as convolutions: logits [batch, num_classes].

    Off the default image size fc6 and fc7 give a map; ``fc7``, the features, is then its mean, as in section 3.2 of the
    VGG paper, where the class scores are averaged over positions: fc8 is linear, so that is the same. Without classes
    the output is the features, [batch, 1, 1, widths[1]].
    """
    scope = tf.get_variable_scope().name
    fc6 = fully_connected_conv2d(net, widths[0], map_size, scope="fc6")
    net = slim.dropout(fc6, dropout_keep_prob, scope="dropout6")
    net = slim.conv2d(net, widths[1], [1, 1], scope="fc7")
    fc7 = global_average_pool(net, "fc7/pooled")
    end_points = {f"{scope}/fc6": fc6, f"{scope}/fc7": fc7}
    if not num_classes:
        return fc7, end_points
    net = slim.dropout(fc7, dropout_keep_prob, scope="dropout7")
    net = slim.conv2d(
        net, num_classes, [1, 1], activation_fn=None, biases_initializer=tf.zeros_initializer(), scope="fc8"
    )
    logits = end_points[f"{scope}/fc8"] = tf.squeeze(net, [1, 2], name="fc8/squeezed")
    return logits, end_points


def fitting_avg_pool2d(net: Any, size: int, stride: int, scope: str) -> Any:
    """VALID average pooling whose window shrinks to maps smaller than ``size``."""
    height, width = _map_size(net, size)
    window = [min(height, size), min(width, size)]
    return slim.avg_pool2d(net, window, stride=stride, padding="VALID", scope=scope)


def _map_size(net: Any, unknown: int) -> tuple[int, int]:
    """Height and width of a feature map; ``unknown`` where the graph does not know them."""
    height, width = net.shape.as_list()[1:3]
    return height or unknown, width or unknown
