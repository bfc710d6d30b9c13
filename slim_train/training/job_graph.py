"""The training graph of a job."""

from __future__ import annotations

from typing import Any

from slim_train.inputs import pipeline
from slim_train.tf_compat import tf
from slim_train.training import batches
from slim_train.training.graph import TrainingGraph, build_training_graph
from slim_train.training.job import Job


def build_graph(job: Job, dataset: Any = None) -> TrainingGraph:
    """Build the graph of one step in the default graph: model, losses and optimizer, once for each clone.

    Args:
      dataset: batches, as tf.data.Dataset; None means those that the job is to be trained on.
    """
    with tf.device(job.deployment.inputs_device()):
        batched = job_batches(job) if dataset is None else dataset
        next_batch = pipeline.batch_source(batched, job.deployment.num_clones)
    return build_training_graph(
        job.model,
        job.options.model,
        job.optimizer_options,
        job.schedule,
        job.deployment,
        next_batch,
        trainable_scopes=job.trainable_scopes,
        class_weights=job.class_weights,
        histogram_summaries=job.options.loop.histogram_summaries,
        scale_loss=job.precision == "fp16",
    )


def job_batches(job: Job) -> Any:
    """Return the batches to train on: of images, of cached features, or of noise, as tf.data.Dataset."""
    if job.cache:
        return job.cache.batches(job.options.data.batch_size, job.options.loop.seed)
    if job.options.data.use_synthetic_data:
        return batches.synthetic_batches(job.options, job.model)
    return batches.batches(job.options, job.dataset, job.model, job.cluster.own.number, job.cluster.num_replicas)
