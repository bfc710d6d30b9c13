"""The training graph, assembled from its parts: clones, losses, optimizer, update ops, averages, summaries."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployment import model_deploy, partitions, tf_private
from deployment.collectives import ReplicaGroup, SynchronizedStep
from deployment.devices import DeploymentConfig
from slim_train.checkpoints import scopes
from slim_train.errors import UsageError
from slim_train.extensions import optimizer_registry
from slim_train.model.frozen_trunk import FrozenTrunk
from slim_train.model.head_on_features import build_head_on_features
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.optim import losses, multipliers, optimizers
from slim_train.optim.accumulation import Accumulation
from slim_train.optim.all_reduce import AllReduce
from slim_train.optim.asynchrony import with_corrected_momentum
from slim_train.optim.averages import Averaging, MovingAverages
from slim_train.optim.bundling import bundle_gradients, bundle_reads_and_updates, narrow_gradients, narrow_reads
from slim_train.optim.clipping import Clipping
from slim_train.optim.learning_rate import build_learning_rate
from slim_train.optim.loss_functions import make_loss
from slim_train.optim.loss_scaling import LossScaled
from slim_train.optim.schedule import Schedule
from slim_train.optim.step import Step, Transform, chain
from slim_train.tf_compat import slim, tf
from slim_train.training_options import ModelOptions, OptimizerOptions

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
    deployment: DeploymentConfig,
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
    options = with_corrected_momentum(optimizer_options, schedule)
    with tf.device(deployment.variables_device()):
        global_step = tf.train.get_or_create_global_step()
    clones, data_loss = _build_clones(
        model, model_options, options, deployment, next_batch, trainable_scopes, class_weights
    )
    _warn_of_no_weight_decay(model, model_options, options)
    model_variables = tuple(slim.get_model_variables())
    multiplier_of = multipliers.multiplier_of_each(
        tf.trainable_variables(),
        multipliers.parse_multipliers(options.learning_rate_multipliers, model.net.head_scopes),
    )
    trained = _variables_to_train(trainable_scopes, multiplier_of)

    with tf.device(deployment.optimizer_device()):
        # Read once, for the rate and for staleness: it crosses the network once a step.
        read_step = tf.identity(global_step.read_value(), name="read_step")
        if deployment.num_ps_tasks:
            tf_private.let_hooks_read_step(read_step)
        learning_rate = build_learning_rate(options, schedule, read_step)
        optimizer = _optimizer(
            options, model_options, learning_rate, {v.op.name: multiplier_of[v.op.name] for v in trained}
        )
        if scale_loss:
            optimizer = LossScaled(optimizer)
    loss, gradients = model_deploy.optimize_clones(clones, optimizer, var_list=trained)
    step = Step(loss, tuple(gradients), tuple(tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)))

    # From the gradients of this task's batch to what changes the variables.
    has_servers = deployment.num_ps_tasks > 0
    is_narrow = has_servers and deployment.wire_dtype == "bf16"
    accumulation = (
        Accumulation(options.gradient_accumulation_steps) if options.gradient_accumulation_steps > 1 else None
    )
    group = _replica_group(deployment)
    all_reduce = AllReduce(group, model_variables) if group else None
    averages = MovingAverages(options.moving_average_decay, global_step) if options.moving_average_decay else None
    averaged = list({variable.op.name: variable for variable in (*trained, *model_variables)}.values())
    synchronizer = None
    if schedule.sync_replicas and has_servers:
        # Synchronous replicas change the variables, averages too, in an op of the chief.
        optimizer = synchronizer = tf.train.SyncReplicasOptimizer(
            optimizer,
            schedule.replicas_to_aggregate,
            total_num_replicas=schedule.num_replicas,
            variable_averages=averages,
            variables_to_average=averaged,
        )
    transforms: list[Transform | None] = [
        bundle_reads_and_updates if has_servers else None,
        narrow_reads if is_narrow else None,
        accumulation,
        all_reduce,
        Clipping(options.gradient_clip_norm, deployment.optimizer_device()) if options.gradient_clip_norm else None,
        bundle_gradients if has_servers else None,
        narrow_gradients if is_narrow else None,
        Averaging(averages, averaged) if averages and not synchronizer else None,
    ]
    step = chain(step, filter(None, transforms))
    train_op, next_step = _update(step, optimizer, options.optimizer, global_step, deployment)
    _add_summaries(clones[0].outputs, step.gradients, histogram_summaries)
    return TrainingGraph(
        global_step=global_step,
        read_step=read_step,
        step=next_step,
        loss=step.loss,
        data_loss=data_loss,
        learning_rate=learning_rate,
        train_op=train_op,
        trained=tuple(trained),
        model_variables=model_variables,
        synchronizer=synchronizer,
        synchronized=all_reduce.synchronized if all_reduce else None,
        broadcast=group.broadcast(tf.global_variables()) if group else None,
        accumulate_op=accumulation.add if accumulation else None,
    )


def _build_clones(
    model: ModelSpec,
    model_options: ModelOptions,
    optimizer_options: OptimizerOptions,
    deployment: DeploymentConfig,
    next_batch: Callable[[], dict[str, Any]],
    trainable_scopes: Sequence[str],
    class_weights: Sequence[float] | None,
) -> tuple[list[model_deploy.Clone], Any]:
    """Return the clones, whose losses are in the graph's collection, and the data loss of the first."""
    network_fn = nets.get_network_fn(
        model.net,
        num_classes=model.num_classes,
        weight_decay=0.0 if optimizers.decays_weights(optimizer_options.optimizer) else model_options.weight_decay,
        is_training=True,
        batch_norm_decay=model_options.batch_norm_decay,
        freeze_batch_norm=_frozen_batch_norm(model_options.freeze_batch_norm, trainable_scopes),
    )
    loss = make_loss(optimizer_options)
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
            loss=loss,
            class_weights=class_weights,
        )
        data_losses.append(data_loss)
        return end_points

    return model_deploy.create_clones(deployment, clone_fn), data_losses[0]


def _warn_of_no_weight_decay(model: ModelSpec, model_options: ModelOptions, options: OptimizerOptions) -> None:
    is_wanted = model_options.weight_decay and not optimizers.decays_weights(options.optimizer)
    if is_wanted and not tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES):
        log.warning(
            "--weight_decay=%g has no effect: %s adds no regularization losses.", model_options.weight_decay, model.name
        )


def _update(step: Step, optimizer: Any, name: str, global_step: Any, deployment: DeploymentConfig) -> tuple[Any, Any]:
    """Return the training op, which evaluates to the loss, and the global step after it."""
    with tf.device(deployment.optimizer_device()):
        with optimizer_registry.calling(name):
            apply = optimizer.apply_gradients(step.gradients, global_step=global_step)
        # A group says once for each server that its updates are made, not for each of them.
        with tf.control_dependencies([tf.group(*step.update_ops, apply)]):
            closing = [make_op() for make_op in step.closing_ops]
            # Beside the global step, which is read next: on the way to this task and back nothing is computed.
            with tf.device(global_step.device):
                closing = closing or [tf.no_op()]
        with tf.control_dependencies(closing):
            return tf.identity(step.loss, name="train_op"), tf.identity(global_step.read_value(), name="step")


def _replica_group(deployment: DeploymentConfig) -> ReplicaGroup | None:
    """Return the tasks that all-reduce; None with parameter servers, and for a task alone."""
    if deployment.num_replicas == 1 or deployment.num_ps_tasks:
        return None
    return ReplicaGroup(deployment.num_replicas, deployment.replica_id, deployment.inputs_device())


def _variables_to_train(trainable_scopes: Sequence[str], multiplier_of: Mapping[str, float]) -> list[Any]:
    variables = partitions.by_stored_name(tf.trainable_variables())
    chosen = scopes.select(variables, trainable_scopes, "trainable_scopes") if trainable_scopes else list(variables)
    trained = [variable for name in chosen for variable in variables[name] if multiplier_of[variable.op.name]]
    if not trained:
        raise UsageError("--learning_rate_multipliers leaves no variable to train: all have the multiplier 0.")
    return trained


def _optimizer(
    options: OptimizerOptions, model_options: ModelOptions, learning_rate: Any, multiplier_of: Mapping[str, float]
) -> Any:
    """Return the optimizer of variables whose rates are multiples, by name, of ``learning_rate``."""

    def make(multiplier: float) -> Any:
        decay = model_options.weight_decay if optimizers.decays_weights(options.optimizer) else 0.0
        return optimizers.build_optimizer(options, multiplier * learning_rate, decay)

    is_plain = set(multiplier_of.values()) == {1.0}
    return make(1.0) if is_plain else multipliers.MultipliedRates(make, multiplier_of)


def _frozen_batch_norm(choice: str, trainable_scopes: Sequence[str]) -> bool | FrozenTrunk:
    """auto: in a trunk that is not trained, features must not drift with the batches' statistics."""
    return FrozenTrunk(trainable_scopes) if choice == "auto" else choice == "true"


def _add_summaries(end_points: dict[str, Any], gradients: Sequence[tuple[Any, Any]], histograms: bool) -> None:
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
