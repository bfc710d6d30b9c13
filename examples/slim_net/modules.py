"""Building blocks of fire_net."""

import tensorflow.contrib.slim as slim
import tensorflow as tf


@tf.contrib.framework.add_arg_scope
def fire(inputs, squeezed, expanded, scope=None):
    """A fire module (Iandola et al. 2016): few 1x1 filters, then 1x1 and 3x3 filters side by side."""
    with tf.variable_scope(scope, "fire", [inputs]):
        net = slim.conv2d(inputs, squeezed, [1, 1], scope="squeeze")
        narrow = slim.conv2d(net, expanded, [1, 1], scope="expand1x1")
        wide = slim.conv2d(net, expanded, [3, 3], scope="expand3x3")
        return tf.concat([narrow, wide], 3)
