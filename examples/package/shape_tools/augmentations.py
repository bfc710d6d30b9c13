"""brightness: each image lighter or darker by up to 30 of 255."""

from slim_train.tf_compat import tf


def brightness(images, seed):
    """Return images [B, H, W, channels] in 0..255, as they came."""
    change = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -30.0, 30.0)
    return tf.clip_by_value(images + change, 0.0, 255.0)
