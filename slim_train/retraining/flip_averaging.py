"""Features that do not change when an image is mirrored: the mean of two passes, in the graph itself."""

from __future__ import annotations

from typing import Any

from slim_train.tf_compat import tf

_SCOPE = "of_both"


def average_flip(graph_def: Any, images: str, outputs: list[str]) -> Any:
    """Return a graph whose outputs are the mean over each image and its mirror image.

    Names of input and outputs stay, so whatever reads the graph need not know.

    Args:
      graph_def: a frozen graph.
      images: name of the tensor in it that takes images, float32 [N, height, width, C].
      outputs: names of the operations that give vectors, float32 [N, length].
    """
    with tf.Graph().as_default() as graph:
        of_images = next(node for node in graph_def.node if node.name == images.partition(":")[0])
        shape = tf.TensorShape(of_images.attr["shape"].shape)
        plain = tf.placeholder(tf.float32, shape, name=of_images.name)
        both = tf.concat([plain, tf.reverse(plain, axis=[2])], axis=0, name=f"{_SCOPE}/images")
        tensors = [f"{name}:0" for name in outputs]
        vectors = tf.import_graph_def(graph_def, {images: both}, tensors, name=_SCOPE)
        for name, of_both in zip(outputs, vectors, strict=True):
            of_plain, of_mirrored = tf.split(of_both, 2, axis=0)
            tf.multiply(of_plain + of_mirrored, 0.5, name=name)
        return graph.as_graph_def()
