"""Fewer messages and bytes between a task and its parameter servers.

See :mod:`deployment.transfers` and :mod:`deployment.narrow_transfers`.
"""

from __future__ import annotations

import dataclasses

from deployment import narrow_transfers, transfers
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


def narrow_reads(step: Step) -> Step:
    """Let large variables cross in 16 bits."""
    narrow_transfers.narrow_reads(tf.global_variables())
    return step


def narrow_gradients(step: Step) -> Step:
    """Let large gradients cross in 16 bits."""
    return dataclasses.replace(step, gradients=tuple(narrow_transfers.narrow_gradients(step.gradients)))
