"""centered: images resized to the net's size, mean 0 and deviation 1 each."""

from slim_train.tf_compat import tf


def centered(image, output_height, output_width, is_training=False):
    """Return float32 [output_height, output_width, channels] of a uint8 image of any size."""
    image = tf.image.resize_bilinear(tf.cast(image, tf.float32)[tf.newaxis], [output_height, output_width])[0]
    if is_training:
        image = image + tf.random_uniform([], -20.0, 20.0)
    return tf.image.per_image_standardization(image)
