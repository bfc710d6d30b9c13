"""plain_net: three convolutions."""

from slim_train import NetRecord
from slim_train.tf_compat import slim, tf


def build(images, num_classes, width=16):
    """Return logits [batch, num_classes] and end points; slim's arg scopes say whether layers train."""
    with tf.variable_scope("PlainNet"):
        net = slim.conv2d(images, width, [3, 3], stride=2, scope="conv1")
        net = slim.conv2d(net, 2 * width, [3, 3], stride=2, scope="conv2")
        net = slim.conv2d(net, 4 * width, [3, 3], stride=2, scope="conv3")
        net = slim.dropout(slim.flatten(net), 0.8)
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")
    return logits, {"Logits": logits}


PLAIN_NET = NetRecord("plain_net", build, default_image_size=32, preprocessing="lenet", channels=1)
