"""Fewer messages between a task and its parameter servers, see :mod:`deployment.transfers`."""

from __future__ import annotations

import dataclasses

from deployment import transfers
from slim_train.optim.step import Step
from slim_train.tf_compat import tf


def bundle_reads_and_updates(step: Step) -> Step:
    """Let small variables, and what update ops need, cross in one message for each server."""
    transfers.bundle_reads(tf.global_variables())
    transfers.bundle_updates(step.update_ops)
    return step


def bundle_gradients(step: Step) -> Step:
    """Let small gradients cross in one message for each server."""
    return dataclasses.replace(step, gradients=tuple(transfers.bundle_gradients(step.gradients)))
