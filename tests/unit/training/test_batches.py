"""The batches of a training."""

from __future__ import annotations

import numpy as np

from slim_train.tf_compat import tf
from slim_train.training import batches


def _first(dataset, count=1):
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(dataset())
        following = iterator.get_next()
        session.run(iterator.initializer)
        return [session.run(following) for _ in range(count)]


def test_batches_are_as_large_as_asked_and_of_the_records(make_job):
    job = make_job(seed=1)
    (batch,) = _first(lambda: batches.batches(job.options, job.dataset, job.model))
    assert batch["image"].shape == (4, 28, 28, 1)
    brightness = batch["image"].mean(axis=(1, 2, 3))
    assert (brightness[batch["label"] == 0] < 0).all()
    assert (brightness[batch["label"] == 1] > 0).all()


def test_replicas_with_the_same_seed_read_in_different_orders(make_job):
    job = make_job(seed=1)

    def images(replica):
        found = _first(lambda: batches.batches(job.options, job.dataset, job.model, replica, 2), count=3)
        return np.concatenate([batch["image"] for batch in found])

    np.testing.assert_array_equal(images(0), images(0))
    assert (images(0) != images(1)).any()


def test_noise_is_the_same_batch_over_and_over(make_job):
    job = make_job()
    first, second = _first(lambda: batches.synthetic_batches(job.options, job.model), count=2)
    np.testing.assert_array_equal(first["image"], second["image"])
    assert first["image"].shape == (4, 28, 28, 1)
