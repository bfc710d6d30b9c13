from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from slim_train import register_loss
from slim_train.errors import UsageError
from slim_train.optim import losses
from slim_train.optim.loss_functions import Loss, make_loss
from slim_train.tf_compat import tf
from slim_train.training_options import OptimizerOptions

LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
AUX_LOGITS = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2, 0])


def expected_loss(logits: np.ndarray, smoothing: float = 0.0, weights: list[float] | None = None) -> float:
    """From the definition: one-hot targets, smoothed, against log softmax."""
    targets = np.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4
    log_softmax = logits - np.log(np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True))
    per_image = -(targets * log_softmax).sum(axis=1)
    return float(np.mean(per_image * (np.ones(4) if weights is None else np.array(weights))[LABELS]))


def smoothed(label_smoothing: float) -> Loss:
    return make_loss(OptimizerOptions(label_smoothing=label_smoothing))


def run(**options: object) -> tuple[float, list[float]]:
    """The returned loss and the graph's collected ones."""
    with tf.Graph().as_default(), tf.Session() as session:
        loss = losses.add_classification_loss(tf.constant(LOGITS), tf.constant(LABELS), **options)
        return session.run((loss, tf.get_collection(tf.GraphKeys.LOSSES)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_has_the_textbook_value(smoothing: float) -> None:
    loss, collected = run(loss=smoothed(smoothing))
    assert loss == pytest.approx(expected_loss(LOGITS, smoothing), rel=1e-5)
    assert collected == [loss]


def test_smoothing_equals_the_one_hot_loss_of_tensorflow() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        theirs = session.run(tf.losses.softmax_cross_entropy(np.eye(4)[LABELS], LOGITS, label_smoothing=0.1))
    assert run(loss=smoothed(0.1))[0] == pytest.approx(theirs, rel=1e-6)


def test_smoothing_stays_finite_with_huge_logits() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant([[1e4, -1e4, 0.0]])
        loss = losses.add_classification_loss(logits, tf.constant([1]), loss=smoothed(0.1))
        value, gradient = session.run([loss, tf.gradients(loss, logits)[0]])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_auxiliary_logits_count_four_tenths() -> None:
    loss, collected = run(end_points={"AuxLogits": AUX_LOGITS}, loss=smoothed(0.1))
    assert loss == pytest.approx(expected_loss(LOGITS, 0.1), rel=1e-5)
    assert sum(collected) == pytest.approx(expected_loss(LOGITS, 0.1) + 0.4 * expected_loss(AUX_LOGITS, 0.1), rel=1e-5)


def test_classes_weigh_as_told_in_both_heads() -> None:
    weights = [0.5, 2.0, 0.0, 1.0]
    _, collected = run(end_points={"AuxLogits": AUX_LOGITS}, class_weights=weights)
    expected = expected_loss(LOGITS, weights=weights) + 0.4 * expected_loss(AUX_LOGITS, weights=weights)
    assert sum(collected) == pytest.approx(expected, rel=1e-5)


def test_half_precision_logits_give_a_float32_loss() -> None:
    with tf.Graph().as_default():
        loss = losses.add_classification_loss(tf.zeros([2, 4], tf.bfloat16), tf.constant([0, 1]))
        assert loss.dtype == tf.float32


def test_regularization_is_left_alone() -> None:
    with tf.Graph().as_default():
        tf.get_variable("w", [2], regularizer=lambda w: tf.reduce_sum(w))
        losses.add_classification_loss(tf.constant(LOGITS), tf.constant(LABELS))
        assert len(tf.get_collection(tf.GraphKeys.LOSSES)) == 1
        assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 1


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [10, 30, 5])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert losses.balanced_class_weights([10, 30, 5]) == pytest.approx(theirs)


def test_balanced_weights_average_to_one_over_the_images() -> None:
    counts = np.array([7, 0, 100, 13])
    weights = losses.balanced_class_weights(counts.tolist())
    assert weights[1] == 0
    assert np.average(weights, weights=counts) == pytest.approx(1)


def test_balanced_weights_follow_the_classes_of_the_net() -> None:
    # A background class dropped in front, one class more than the data set has behind.
    assert losses.balanced_class_weights([0, 10, 30], num_classes=3, labels_offset=1) == pytest.approx([2, 2 / 3, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mixed_images_have_the_weighted_mean_of_the_losses_of_both_labels(smoothing: float) -> None:
    mixed_labels, share = LABELS[::-1], np.array([1.0, 0.9, 0.5, 0.3, 0.2, 0.0], np.float32)
    targets = share[:, np.newaxis] * np.eye(4)[LABELS] + (1 - share)[:, np.newaxis] * np.eye(4)[mixed_labels]
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(tf.losses.softmax_cross_entropy(targets, LOGITS, label_smoothing=smoothing))
    loss, collected = run(
        mixed_labels=mixed_labels, label_weights=share, loss=smoothed(smoothing), end_points={"AuxLogits": LOGITS}
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    assert sum(collected) == pytest.approx(1.4 * expected, rel=1e-5)


def test_another_loss_is_that_of_both_heads_and_gets_the_weights_of_the_labels() -> None:
    def linear(logits, labels, weights):
        assert (logits.dtype, labels.dtype, weights.dtype) == (tf.float32, tf.int64, tf.float32)
        return weights * tf.gather(-logits, labels, batch_dims=1)

    class_weights = [0.5, 2.0, 0.0, 1.0]
    weights = np.array(class_weights)[LABELS]
    loss, collected = run(
        loss=Loss("softmax", linear), class_weights=class_weights, end_points={"AuxLogits": AUX_LOGITS}
    )
    main, aux = (-np.mean(weights * logits[np.arange(6), LABELS]) for logits in (LOGITS, AUX_LOGITS))
    assert loss == pytest.approx(main, rel=1e-5)
    assert sum(collected) == pytest.approx(main + 0.4 * aux, rel=1e-5)


def test_a_loss_of_a_whole_batch_is_taken_as_it_is() -> None:
    total = Loss("softmax", lambda logits, labels, weights: tf.reduce_sum(tf.gather(logits, labels, batch_dims=1)))
    assert run(loss=total)[0] == pytest.approx(LOGITS[np.arange(6), LABELS].sum(), rel=1e-5)


def test_a_loss_of_a_whole_batch_is_refused_for_mixed_images() -> None:
    total = Loss("softmax", lambda logits, labels, weights: tf.reduce_sum(logits))
    with pytest.raises(UsageError, match="--mixup_alpha and --cutmix_alpha need the loss of each image"):
        run(loss=total, mixed_labels=LABELS[::-1], label_weights=np.ones(6, np.float32))


def test_a_registered_loss_that_ignores_class_weights_is_refused() -> None:
    register_loss("careless", lambda logits, labels, weights: -tf.gather(logits, labels, batch_dims=1))
    careless = make_loss(OptimizerOptions(loss="careless"))
    assert np.isfinite(run(loss=careless)[0])
    with pytest.raises(UsageError, match="'careless' .* times weights for --class_weights"):
        run(loss=careless, class_weights=[0.5, 2.0, 0.0, 1.0])
