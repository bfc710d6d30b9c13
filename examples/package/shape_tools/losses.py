"""poly: cross entropy with more weight on images of low probability (Leng et al. 2022, arXiv:2204.12511)."""

from slim_train.tf_compat import tf

_EPSILON = 1.0


def poly(logits, labels, weights):
    """Return the loss of each image [B] for logits [B, C], labels [B] and class weights [B]."""
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return weights * (cross_entropy + _EPSILON * (1.0 - tf.exp(-cross_entropy)))
