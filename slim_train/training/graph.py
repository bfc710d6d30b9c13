"""The training graph, assembled from its parts: clones, losses, optimizer, update ops, averages, summaries."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployment import model_deploy, partitions, transfers
from deployment.collectives import ReplicaGroup, SynchronizedStep, synchronize_step
from slim_train.checkpoints import scopes
from slim_train.errors import UsageError
from slim_train.model.frozen_trunk import FrozenTrunk
from slim_train.model.head_on_features import build_head_on_features
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.optim import losses, multipliers, optimizers
from slim_train.optim.accumulation import AccumulatedGradients
from slim_train.optim.asynchrony import with_corrected_momentum
from slim_train.optim.averages import MovingAverages
from slim_train.optim.clipping import clip_by_global_norm
from slim_train.optim.learning_rate import build_learning_rate
from slim_train.optim.loss_scaling import LossScaled
from slim_train.optim.schedule import Schedule
from slim_train.options import ModelOptions, OptimizerOptions
from slim_train.tf_compat import slim, tf

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingGraph:
    """The tensors and variables that the loop, the restore and the plan need.

    Attributes:
      global_step: the variable.
      read_step: the global step when the current training step read the variables.
      step: the global step after the current training step, for hooks to fetch beside the training op.
      loss: scalar, the total loss of all clones, regularization included.
      data_loss: scalar, the loss of the first clone's main head alone, without regularization.
      learning_rate: scalar.
      train_op: runs one step and evaluates to the loss.
      trained: variables that the optimizer changes.
      model_variables: all variables of the net, batch-norm statistics included.
      synchronizer: the SyncReplicasOptimizer of synchronous replicas on parameter servers, else None.
      synchronized: the step of all tasks together where they all-reduce, else None.
      broadcast: op that gives every task the chief's variables, for tasks that all-reduce, else None.
      accumulate_op: op that adds the gradients of a batch to those that the next ``train_op`` uses, else None.
    """

    global_step: Any
    read_step: Any
    step: Any
    loss: Any
    data_loss: Any
    learning_rate: Any
    train_op: Any
    trained: tuple[Any, ...]
    model_variables: tuple[Any, ...]
    synchronizer: Any = None
    synchronized: SynchronizedStep | None = None
    broadcast: Any = None
    accumulate_op: Any = None


def build_training_graph(
    model: ModelSpec,
    model_options: ModelOptions,
    optimizer_options: OptimizerOptions,
    schedule: Schedule,
    deployment: model_deploy.DeploymentConfig,
    next_batch: Callable[[], dict[str, Any]],
    trainable_scopes: Sequence[str] = (),
    class_weights: Sequence[float] | None = None,
    histogram_summaries: bool = False,
    scale_loss: bool = False,
) -> TrainingGraph:
    """Build the graph of one training step in the default graph.

    Args:
      next_batch: called once for each clone, gives ``image`` [B, H, W, C] float32 and ``label`` [B] int64; batches of
        mixed images also have ``mixed_label`` and ``label_weight``, see :mod:`slim_train.preprocessing.mixing`. In the
        place of ``image`` it may give ``features`` [B, width], what a frozen trunk makes of images.
      trainable_scopes: scopes to train; none trains everything.
      class_weights: weight of each class in the loss, or None.
      scale_loss: for sessions that compute in float16, see :class:`slim_train.optim.loss_scaling.LossScaled`.

    Raises:
      UsageError: the net's name is unknown, its input is too small, a scope matches nothing, or there are features for
        one of its heads only.
    """
    optimizer_options = with_corrected_momentum(optimizer_options, schedule)
    adamw = optimizer_options.optimizer == "adamw"
    network_fn = nets.get_network_fn(
        model.name,
        num_classes=model.num_classes,
        # adamw decays weights by itself, outside the loss.
        weight_decay=0.0 if adamw else model_options.weight_decay,
        is_training=True,
        batch_norm_decay=model_options.batch_norm_decay,
        freeze_batch_norm=_frozen_batch_norm(model_options.freeze_batch_norm, trainable_scopes),
    )
    with tf.device(deployment.variables_device()):
        global_step = tf.train.get_or_create_global_step()

    data_losses = []

    def clone_fn() -> dict[str, Any]:
        with tf.device(deployment.inputs_device()):
            batch = next_batch()
        if "features" in batch:
            logits, end_points = build_head_on_features(network_fn, model, batch["features"])
        else:
            logits, end_points = network_fn(batch["image"])
        data_loss = losses.add_classification_loss(
            logits,
            batch["label"],
            mixed_labels=batch.get("mixed_label"),
            label_weights=batch.get("label_weight"),
            end_points=end_points,
            label_smoothing=optimizer_options.label_smoothing,
            class_weights=class_weights,
        )
        data_losses.append(data_loss)
        return end_points

    clones = model_deploy.create_clones(deployment, clone_fn)
    rate_of_scope = multipliers.parse_multipliers(
        optimizer_options.learning_rate_multipliers, nets.get_record(model.name).head_scopes
    )
    multiplier_of = multipliers.multiplier_of_each(tf.trainable_variables(), rate_of_scope)
    trained = _variables_to_train(trainable_scopes, multiplier_of)

    with tf.device(deployment.optimizer_device()):
        # Read once, for the rate and for staleness: it crosses the network once a step.
        read_step = tf.identity(global_step.read_value(), name="read_step")
        learning_rate = build_learning_rate(optimizer_options, schedule, read_step)
        weight_decay = model_options.weight_decay if adamw else 0.0
        optimizer = _optimizer(optimizer_options, learning_rate, weight_decay, trained, multiplier_of)
        if scale_loss:
            optimizer = LossScaled(optimizer)
    total_loss, gradients = model_deploy.optimize_clones(clones, optimizer, var_list=trained)
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
    if deployment.num_ps_tasks:
        transfers.bundle_reads(tf.global_variables())
        transfers.bundle_updates(update_ops)
    accumulated = None
    if optimizer_options.gradient_accumulation_steps > 1:
        num_batches = optimizer_options.gradient_accumulation_steps
        accumulated = AccumulatedGradients(total_loss, gradients, update_ops, num_batches)
        total_loss, gradients = accumulated.loss, accumulated.gradients
    model_variables = tuple(slim.get_model_variables())
    group = _replica_group(deployment)
    synchronized = None
    if group:
        statistics = _untrainable(model_variables) if update_ops else []
        synchronized = synchronize_step(group, total_loss, gradients, update_ops, statistics)
        total_loss, gradients, update_ops = synchronized.loss, synchronized.gradients, synchronized.update_ops
    if optimizer_options.gradient_clip_norm:
        with tf.device(deployment.optimizer_device()):
            gradients = clip_by_global_norm(gradients, optimizer_options.gradient_clip_norm)
    if deployment.num_ps_tasks:
        gradients = transfers.bundle_gradients(gradients)

    averages = _moving_averages(optimizer_options, global_step)
    averaged = list({variable.op.name: variable for variable in (*trained, *model_variables)}.values())
    is_synchronous = schedule.sync_replicas and deployment.num_ps_tasks > 0
    if is_synchronous:
        optimizer = tf.train.SyncReplicasOptimizer(
            optimizer,
            schedule.replicas_to_aggregate,
            total_num_replicas=schedule.num_replicas,
            variable_averages=averages,
            variables_to_average=averaged,
        )
    with tf.device(deployment.optimizer_device()):
        update_ops.append(optimizer.apply_gradients(gradients, global_step=global_step))
        # A group says once for each server that its updates are made, not for each of them.
        with tf.control_dependencies([tf.group(*update_ops)]):
            reset = accumulated.reset() if accumulated else tf.no_op()
            # Synchronous replicas change the variables, averages too, in an op of the chief.
            finish = tf.no_op() if averages is None or is_synchronous else averages.apply(averaged)
        with tf.control_dependencies([finish, reset]):
            train_op = tf.identity(total_loss, name="train_op")
            step = tf.identity(global_step.read_value(), name="step")

    _add_summaries(clones[0].outputs, gradients, histogram_summaries)
    return TrainingGraph(
        global_step,
        read_step,
        step,
        total_loss,
        data_losses[0],
        learning_rate,
        train_op,
        tuple(trained),
        model_variables,
        optimizer if is_synchronous else None,
        synchronized,
        group.broadcast(tf.global_variables()) if group else None,
        accumulated.add if accumulated else None,
    )


def _replica_group(deployment: model_deploy.DeploymentConfig) -> ReplicaGroup | None:
    """The tasks that all-reduce; None with parameter servers, and for a task alone."""
    if deployment.num_replicas == 1 or deployment.num_ps_tasks:
        return None
    return ReplicaGroup(deployment.num_replicas, deployment.replica_id, deployment.inputs_device())


def _untrainable(variables: Sequence[Any]) -> list[Any]:
    trainable = {variable.op.name for variable in tf.trainable_variables()}
    return [variable for variable in variables if variable.op.name not in trainable]


def _moving_averages(options: OptimizerOptions, global_step: Any) -> MovingAverages | None:
    return MovingAverages(options.moving_average_decay, global_step) if options.moving_average_decay else None


def _variables_to_train(trainable_scopes: Sequence[str], multiplier_of: Mapping[str, float]) -> list[Any]:
    variables = partitions.by_stored_name(tf.trainable_variables())
    chosen = scopes.select(variables, trainable_scopes, "trainable_scopes") if trainable_scopes else list(variables)
    trained = [variable for name in chosen for variable in variables[name] if multiplier_of[variable.op.name]]
    if not trained:
        raise UsageError("--learning_rate_multipliers leaves no variable to train: all have the multiplier 0.")
    return trained


def _optimizer(
    options: OptimizerOptions,
    learning_rate: Any,
    weight_decay: float,
    trained: Sequence[Any],
    multiplier_of: Mapping[str, float],
) -> Any:
    def make(multiplier: float) -> Any:
        return optimizers.build_optimizer(options, multiplier * learning_rate, weight_decay)

    rates = {variable.op.name: multiplier_of[variable.op.name] for variable in trained}
    return make(1.0) if set(rates.values()) == {1.0} else multipliers.MultipliedRates(make, rates)


def _frozen_batch_norm(choice: str, trainable_scopes: Sequence[str]) -> bool | FrozenTrunk:
    """auto: in a trunk that is not trained, features must not drift with the batches' statistics."""
    return FrozenTrunk(trainable_scopes) if choice == "auto" else choice == "true"


def _add_summaries(end_points: dict[str, Any], gradients: list[tuple[Any, Any]], histograms: bool) -> None:
    for loss in tf.get_collection(tf.GraphKeys.LOSSES):
        tf.summary.scalar(f"losses/{loss.op.name}", loss)
    if not histograms:
        return
    for name, activation in end_points.items():
        tf.summary.histogram(f"activations/{name}", activation)
        tf.summary.scalar(f"sparsity/{name}", tf.nn.zero_fraction(activation))
    for variable in slim.get_model_variables():
        tf.summary.histogram(variable.op.name, variable)
    for gradient, variable in gradients:
        # A step that loss scaling skips has values that a histogram would not take.
        tf.summary.histogram(f"gradients/{variable.op.name}", tf.boolean_mask(gradient, tf.math.is_finite(gradient)))
