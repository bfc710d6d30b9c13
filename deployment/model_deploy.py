"""Clones of a model: built over shared variables, their losses averaged, their gradients summed.

A clone is one copy of the model on one device, fed with its own batch. A step of N clones with B images each equals a
step of one clone with N * B images: losses are scaled by 1 / N before gradients are summed. Batch norm is the
exception: each clone normalizes by the statistics of its own B images, and only the first clone's enter the moving
averages.

The interface is research/slim's::

    config = DeploymentConfig(num_clones=2).for_this_machine()
    with tf.device(config.variables_device()):
        global_step = tf.train.get_or_create_global_step()
    with tf.device(config.inputs_device()):
        next_batch = ...
    model = deploy(config, model_fn, [next_batch], optimizer=tf.train.MomentumOptimizer(0.01, 0.9))
    with tf.Session(config=session_config(config)) as session:
        ...

``model_fn`` adds its losses to ``tf.GraphKeys.LOSSES``, as ``tf.losses`` and ``slim.losses`` do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from deployment.devices import DeploymentConfig, Device, is_variable_op, session_config
from deployment.plain_variables import PlainVariables

__all__ = [
    "Clone",
    "DeployedModel",
    "DeploymentConfig",
    "create_clones",
    "deploy",
    "optimize_clones",
    "session_config",
]

log = logging.getLogger(__name__)

# A dense gradient or tf.IndexedSlices, and its variable.
GradientAndVariable = tuple[Any, Any]


class Clone(NamedTuple):
    """One copy of the model.

    Attributes:
      outputs: what ``model_fn`` returned.
      scope: its name scope, ending in "/", or "" for a single clone: losses, update ops and summaries of this clone are
        ``tf.get_collection(key, clone.scope)``.
      device: its device string.
    """

    outputs: Any
    scope: str
    device: str


class DeployedModel(NamedTuple):
    """What :func:`deploy` built.

    Attributes:
      train_op: runs one step, update ops included, and evaluates to the loss before it; None without an optimizer.
      summary_op: serialized summaries of the first clone and of the losses, scalar string; None if there are none.
      total_loss: scalar, mean of the clones' losses plus regularization; None if there are no losses.
      clones: one :class:`Clone` per copy.
    """

    train_op: Any
    summary_op: Any
    total_loss: Any
    clones: list[Clone]


def create_clones(
    config: DeploymentConfig,
    model_fn: Callable[..., Any],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> list[Clone]:
    """Call ``model_fn(*args, **kwargs)`` once per clone, on the clone's device and in its name scope.

    The first call makes the variables, at ``config.variables_device()``; the others reuse them.
    """
    clones = []
    place_variables = _variables_to(config.variables_device())
    plain_variables = PlainVariables()
    for index in range(config.num_clones):
        device = config.clone_device(index)
        with (
            tf.name_scope(config.clone_scope(index)) as scope,
            tf.device(place_variables),
            tf.device(device),
            tf.variable_scope(
                tf.get_variable_scope(),
                reuse=True if index else None,
                caching_device=config.caching_device(),
                custom_getter=config.variable_getter(),
            ),
            plain_variables.of_clone(scope, is_first=not index),
        ):
            clones.append(Clone(model_fn(*(args or ()), **(kwargs or {})), scope, device))
    return clones


def optimize_clones(
    clones: Sequence[Clone], optimizer: Any, regularization_losses: Sequence[Any] | None = None, **kwargs: Any
) -> tuple[Any, list[GradientAndVariable]]:
    """Return the loss over all clones and its gradients.

    Args:
      optimizer: a ``tf.train.Optimizer``.
      regularization_losses: added once, however many clones there are. None takes the graph's collection; ``[]`` leaves
        regularization out.
      **kwargs: for ``optimizer.compute_gradients``, such as ``var_list``.

    Returns:
      Total loss, scalar: the mean of the clones' losses plus regularization. And (gradient, variable) for each variable
      that has a gradient; the others are named in the log.

    Raises:
      ValueError: there is no loss at all.
    """
    losses = _scaled_losses(clones, regularization_losses)
    if not losses:
        raise ValueError("There is no loss to minimize: model_fn must add one to tf.GraphKeys.LOSSES")
    gradients = []
    for clone, loss in losses:
        with tf.name_scope(clone.scope), tf.device(clone.device):
            gradients.append(optimizer.compute_gradients(loss, **kwargs))
    # One sum on the clones' own task: from there a single gradient per variable goes to the parameter servers.
    with tf.device(_task_cpu(clones[0])):
        total_loss = _total_loss(losses)
        summed = _sum_gradients(gradients)
    unused = [variable.op.name for gradient, variable in summed if gradient is None]
    if unused:
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        log.warning("No loss depends on these variables, so they are not trained: %s%s", ", ".join(unused[:3]), more)
    return total_loss, [(gradient, variable) for gradient, variable in summed if gradient is not None]


def deploy(
    config: DeploymentConfig,
    model_fn: Callable[..., Any],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    optimizer: Any = None,
    summarize_gradients: bool = False,
) -> DeployedModel:
    """Build clones, and with an optimizer the operation that trains them.

    Update ops (batch-norm statistics) are the first clone's: those of the others would overwrite them.

    Args:
      optimizer: a ``tf.train.Optimizer``; None builds the model and its loss only, for evaluation.
      summarize_gradients: add a histogram and the norm of every gradient to the summaries.
    """
    clones = create_clones(config, model_fn, args, kwargs)
    train_op = None
    with tf.device(config.optimizer_device()):
        if optimizer is None:
            total_loss = _total_loss(_scaled_losses(clones))
        else:
            with tf.device(config.variables_device()):
                global_step = tf.train.get_or_create_global_step()
            total_loss, gradients = optimize_clones(clones, optimizer)
            if summarize_gradients:
                _summarize_gradients(gradients)
            update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
            update_ops.append(optimizer.apply_gradients(gradients, global_step=global_step))
            with tf.control_dependencies(update_ops):
                train_op = tf.identity(total_loss, name="train_op")
        if total_loss is not None:
            tf.summary.scalar("losses/total_loss", total_loss)
        summaries = _summaries_but_of_other_clones(clones)
        summary_op = tf.summary.merge(summaries, name="summary_op") if summaries else None
    return DeployedModel(train_op, summary_op, total_loss, clones)


def _variables_to(device: Device) -> Device:
    """Device function that moves variables to ``device`` and leaves everything else where it is."""

    def place(op: Any) -> str:
        if not is_variable_op(op):
            return op.device
        return device if isinstance(device, str) else device(op)

    return place


def _task_cpu(clone: Clone) -> str:
    """Return the CPU of the task that runs the clone, where what belongs to all its clones is computed."""
    return tf.DeviceSpec.from_string(clone.device).replace(device_type="CPU", device_index=0).to_string()


def _scaled_losses(
    clones: Sequence[Clone], regularization_losses: Sequence[Any] | None = None
) -> list[tuple[Clone, Any]]:
    """Return the clones that have a loss, with its part in the total; regularization goes to the first clone."""
    if regularization_losses is None:
        regularization_losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    losses = []
    for clone in clones:
        with tf.name_scope(clone.scope), tf.device(clone.device):
            parts = []
            own_losses = tf.get_collection(tf.GraphKeys.LOSSES, clone.scope)
            if own_losses:
                parts.append(tf.add_n(own_losses, name="clone_loss"))
                if len(clones) > 1:
                    parts[0] = tf.divide(parts[0], len(clones), name="scaled_clone_loss")
                _summarize(clone, "losses/clone_loss", parts[0])
            if regularization_losses and clone is clones[0]:
                parts.append(tf.add_n(list(regularization_losses), name="regularization_loss"))
                _summarize(clone, "losses/regularization_loss", parts[-1])
            if parts:
                losses.append((clone, tf.add_n(parts, name="loss")))
    return losses


def _total_loss(losses: Sequence[tuple[Clone, Any]]) -> Any:
    """Return the sum, or None if there is nothing to sum."""
    return tf.add_n([loss for _, loss in losses], name="total_loss") if losses else None


def _summarize(clone: Clone, name: str, loss: Any) -> None:
    with tf.device(_task_cpu(clone)):  # Summaries have no GPU kernel.
        tf.summary.scalar(name, loss)


def _sum_gradients(gradients_of_clones: Sequence[Sequence[GradientAndVariable]]) -> list[GradientAndVariable]:
    """Sum each variable's gradients over the clones. None counts for nothing; a sum of nothing is None."""
    summed = []
    for of_variable in zip(*gradients_of_clones, strict=True):
        variable = of_variable[0][1]
        assert all(other is variable for _, other in of_variable), "clones must share their variables"
        gradients = [gradient for gradient, _ in of_variable if gradient is not None]
        summed.append((_add_n(gradients, f"{variable.op.name}/sum_grads"), variable))
    return summed


def _add_n(gradients: Sequence[Any], name: str) -> Any:
    """Sum of gradients of one variable: sparse where all of them are, which ``tf.add_n`` would make dense."""
    if len(gradients) < 2:
        return gradients[0] if gradients else None
    if not all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
        return tf.add_n([tf.convert_to_tensor(gradient) for gradient in gradients], name=name)
    return tf.IndexedSlices(
        tf.concat([gradient.values for gradient in gradients], axis=0, name=name),
        tf.concat([gradient.indices for gradient in gradients], axis=0),
        gradients[0].dense_shape,
    )


def _summarize_gradients(gradients: Sequence[GradientAndVariable]) -> None:
    for gradient, variable in gradients:
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        tf.summary.histogram(f"{variable.op.name}/gradient", values)
        tf.summary.scalar(f"{variable.op.name}/gradient_norm", tf.norm(values))


def _summaries_but_of_other_clones(clones: Sequence[Clone]) -> list[Any]:
    """Return all summaries of the graph save those of the second clone and later: they would say the same again."""
    others = tuple(clone.scope for clone in clones[1:])
    return [s for s in tf.get_collection(tf.GraphKeys.SUMMARIES) if not s.op.name.startswith(others)]
