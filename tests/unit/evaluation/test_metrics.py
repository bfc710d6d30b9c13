"""Metrics of a classifier, against small tables worked out by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slim_train.errors import RunError, UsageError
from slim_train.evaluation.metrics import ClassificationMetrics, log_softmax, predict


def report_of(labels, logits):
    metrics = ClassificationMetrics(np.shape(logits)[1])
    metrics.update(labels, logits)
    return metrics.report()


def logits_that_predict(classes, num_classes):
    return np.eye(num_classes, dtype=np.float32)[classes]


def random_split(images=500, num_classes=7, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, images)
    logits = rng.normal(size=(images, num_classes)).astype(np.float32)
    logits[np.arange(images), labels] += 1
    return labels, logits


def test_a_table_worked_out_by_hand():
    #        predicted:  0  1  2
    expected_matrix = [[2, 1, 0],  # class 0: recall 2/3, precision 2/2
                       [0, 1, 1],  # class 1: recall 1/2, precision 1/2
                       [0, 0, 1]]  # class 2: recall 1/1, precision 1/2  # fmt: skip
    report = report_of([0, 0, 0, 1, 1, 2], logits_that_predict([0, 0, 1, 1, 2, 2], 3))
    assert report.confusion_matrix.tolist() == expected_matrix
    assert report.images == 6
    assert report.accuracy == 4 / 6
    assert report.recall == pytest.approx([2 / 3, 1 / 2, 1])
    assert report.precision == pytest.approx([1, 1 / 2, 1 / 2])
    assert report.f1 == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert report.support.tolist() == [3, 2, 1]
    assert report.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert report.weighted.precision == pytest.approx((3 * 1 + 2 * 0.5 + 1 * 0.5) / 6)


def test_loss_is_the_mean_cross_entropy_of_the_softmax():
    report = report_of([0, 1], np.log([[0.5, 0.5], [0.8, 0.2]]))
    assert report.loss == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)


def test_figures_are_those_of_scikit_learn():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    labels, logits = random_split()
    report, predicted = report_of(labels, logits), logits.argmax(axis=1)
    theirs = sklearn_metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for ours, value in zip((report.precision, report.recall, report.f1, report.support), theirs, strict=True):
        np.testing.assert_allclose(ours, value, rtol=1e-12)
    for average in ("macro", "weighted"):
        *value, _ = sklearn_metrics.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        assert getattr(report, average) == pytest.approx(value, rel=1e-12)
    assert report.confusion_matrix.tolist() == sklearn_metrics.confusion_matrix(labels, predicted).tolist()
    assert report.balanced_accuracy == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, predicted))
    assert report.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    assert report.top_5_accuracy == pytest.approx(sklearn_metrics.top_k_accuracy_score(labels, logits, k=5))
    assert report.loss == pytest.approx(sklearn_metrics.log_loss(labels, np.exp(log_softmax(logits))), rel=1e-12)


def test_classes_without_images_count_as_scikit_learn_counts_them():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    # Class 3 is predicted but never true, class 4 is neither.
    labels, predicted = [0, 0, 1, 2], [0, 3, 1, 1]
    report = report_of(labels, logits_that_predict(predicted, 5))
    *macro, _ = sklearn_metrics.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    assert report.macro == pytest.approx(macro)
    assert report.balanced_accuracy == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert (report.precision[4], report.recall[4], report.f1[4], report.support[4]) == (0, 0, 0, 0)


@pytest.mark.parametrize("batch_size", [1, 64, 499, 500])
def test_the_batch_size_changes_nothing(batch_size):
    labels, logits = random_split()
    metrics = ClassificationMetrics(7)
    for start in range(0, len(labels), batch_size):
        metrics.update(labels[start : start + batch_size], logits[start : start + batch_size])
    batched, whole = metrics.report(), report_of(labels, logits)
    assert batched.images == whole.images
    assert batched.confusion_matrix.tolist() == whole.confusion_matrix.tolist()
    assert batched.top_5_accuracy == whole.top_5_accuracy
    assert batched.loss == pytest.approx(whole.loss, rel=1e-12)


def test_padding_is_not_counted_whatever_it_holds():
    metrics = ClassificationMetrics(2)
    metrics.update([1, -1], [[0, 1], [math.nan, 0]], mask=[True, False])
    assert metrics.report().confusion_matrix.tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(("rank", "counts"), [(0, 1), (4, 1), (5, 0), (6, 0)])
def test_top_5_counts_the_five_most_probable(rank, counts):
    logits = np.arange(7, 0, -1, dtype=np.float32)[np.newaxis]
    assert report_of([rank], logits).top_5_accuracy == counts


@pytest.mark.parametrize(("label", "counts"), [(0, 1), (4, 1), (5, 0), (6, 0)])
def test_equal_logits_rank_by_index(label, counts):
    assert report_of([label], np.zeros((1, 7), np.float32)).top_5_accuracy == counts


def test_top_5_is_one_with_few_classes():
    assert report_of([0, 1], logits_that_predict([1, 0], 2)).top_5_accuracy == 1


def test_the_prediction_is_always_among_the_top_5():
    labels = np.arange(7)
    report = report_of(labels, np.zeros((7, 7), np.float32))
    assert report.accuracy == 1 / 7
    assert report.top_5_accuracy == 5 / 7


def test_large_float32_logits_give_a_finite_exact_loss():
    report = report_of([1, 0], np.array([[3e38, 0], [1e4, 1e4 - 1]], np.float32))
    assert report.loss == pytest.approx((3e38 + math.log1p(math.exp(-1))) / 2, rel=1e-6)


def test_logarithms_of_probabilities_do_as_logits():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]])
    classes, values = predict(np.log(probabilities))
    assert classes.tolist() == [1, 2]
    assert values == pytest.approx([0.7, 0.4])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_an_error(value):
    with pytest.raises(RunError, match="NaN or infinite"):
        ClassificationMetrics(2).update([0], [[value, 0]])


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_a_logit_is_an_error_that_names_both(label):
    with pytest.raises(UsageError, match=rf"label {label}, but the net has the 3 classes 0 to 2.*--labels_offset"):
        ClassificationMetrics(3).update([0, label], np.zeros((2, 3)))


def test_an_empty_split_is_an_error():
    metrics = ClassificationMetrics(3)
    metrics.update(np.zeros(0, int), np.zeros((0, 3)))
    with pytest.raises(RunError, match="No image was evaluated"):
        metrics.report()


def test_the_headline_agrees_with_the_report():
    metrics = ClassificationMetrics(7)
    metrics.update(*random_split())
    headline, report = metrics.headline(), metrics.report()
    assert list(headline) == ["loss", "accuracy", "top_5_accuracy"]
    assert all(value == getattr(report, name) for name, value in headline.items())


def test_a_report_does_not_change_with_later_batches():
    metrics = ClassificationMetrics(2)
    metrics.update([0], [[1.0, 0.0]])
    report = metrics.report()
    metrics.update([1], [[1.0, 0.0]])
    assert report.confusion_matrix.tolist() == [[1, 0], [0, 0]]
