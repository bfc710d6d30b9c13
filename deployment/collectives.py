"""Synchronous data parallelism without parameter servers: every task holds all variables and all-reduces gradients.

Each task runs its own graph in its own session on its own ``tf.distribute.Server``, and TensorFlow's collective ops tie
the tasks together. What keeps them equal: the chief's values are broadcast before the first step, and in each step
whatever comes from a task's own images (gradients, batch-norm statistics, the loss) is replaced by its mean over the
tasks. So after every step all variables are the same everywhere, a checkpoint of the chief holds what all have learned,
and all tasks see the same loss and stop at the same step::

    group = ReplicaGroup(num_replicas=2, replica_id=task, device=f"/job:worker/task:{task}/device:CPU:0")
    step = synchronize_step(group, loss, gradients, update_ops, statistics)
    train_op = tf.group(optimizer.apply_gradients(step.gradients), *step.update_ops)
    start = group.broadcast(tf.global_variables())

A step of N tasks with B images each equals a step of one task with N * B images, batch norm aside: each task normalizes
by the statistics of its own images.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

# Large enough to fill a network, small enough that the first is under way while back-propagation still makes the rest.
BUCKET_BYTES = 16 * 2**20

# The group of all training tasks; a key names one set of devices in a cluster.
_GROUP_KEY = 1
_BITS_OF_SIZE = {2: tf.int16, 4: tf.int32, 8: tf.int64}


class ReplicaGroup:
    """The tasks that train together, as the graph of one of them sees them.

    Every task must make the same calls in the same order, for tensors of the same shapes: the n-th collective op of one
    task meets the n-th of the others.

    Args:
      num_replicas: tasks in the group.
      replica_id: number of this task; 0 is the chief.
      device: this task's CPU, where tensors are packed, sent and unpacked.
      bucket_bytes: size of the flat buffers in which tensors travel. Small tensors share one, since many small messages
        are slow, and a larger tensor is cut, since a huge message is slow too (440 MB: by a factor of 2 to 4).
    """

    def __init__(self, num_replicas: int, replica_id: int, device: str, bucket_bytes: int = BUCKET_BYTES) -> None:
        if not 0 <= replica_id < num_replicas:
            raise ValueError(f"replica_id must be in [0, num_replicas={num_replicas}), got {replica_id}")
        self.num_replicas, self.replica_id, self.device = num_replicas, replica_id, device
        self._bucket_bytes = bucket_bytes
        self._instance_keys = itertools.count(1)

    def mean(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the mean of each tensor over the tasks, in the same order; their shapes must be known.

        A bucket is sent as soon as its tensors are there, so put first what is computed first.
        """
        with tf.device(self.device), tf.name_scope("all_reduce"):
            return [mean for bucket in self._buckets(tensors) for mean in self._mean_of_bucket(bucket)]

    def broadcast(self, variables: Sequence[Any]) -> Any:
        """An operation that gives every task the chief's values of ``variables``; their own must be initialized."""
        assigned = []
        with tf.device(self.device), tf.name_scope("broadcast"):
            for bucket in self._buckets(variables):
                values = _unpack(self._broadcast_pieces(_pack([variable.read_value() for variable in bucket])), bucket)
                assigned += [variable.assign(value).op for variable, value in zip(bucket, values, strict=True)]
        return tf.group(*assigned, name="broadcast_from_chief")

    def _broadcast_pieces(self, flat: Any) -> Any:
        """Return the chief's ``flat``; of the others' only shape and type matter."""
        values = []
        for piece in self._cut(flat):
            if self.replica_id == 0:
                value = tf.raw_ops.CollectiveBcastSend(input=piece, shape=piece.shape, **self._instance())
            else:
                value = tf.raw_ops.CollectiveBcastRecv(T=piece.dtype, shape=piece.shape, **self._instance())
            values.append(value)
        return _join(values)

    def _mean_of_bucket(self, bucket: Sequence[Any]) -> list[Any]:
        means = [
            tf.raw_ops.CollectiveReduce(
                input=piece, merge_op="Add", final_op="Div", subdiv_offsets=[0], **self._instance()
            )
            for piece in self._cut(_pack_exactly(bucket))
        ]
        return _unpack(_join(means), bucket)

    def _instance(self) -> dict[str, int]:
        """Name the next collective op, the same on every task."""
        return {
            "group_size": self.num_replicas,
            "group_key": _GROUP_KEY,
            "instance_key": next(self._instance_keys),
        }

    def _cut(self, flat: Any) -> list[Any]:
        """``flat`` in pieces of at most ``bucket_bytes``."""
        limit = max(1, self._bucket_bytes // flat.dtype.size)
        whole, rest = divmod(_num_elements(flat), limit)
        return tf.split(flat, [limit] * whole + [rest] * (rest > 0)) if whole else [flat]

    def _buckets(self, tensors: Sequence[Any]) -> Iterator[list[Any]]:
        """Consecutive tensors of one type, together at most ``bucket_bytes`` unless one alone is larger."""
        bucket: list[Any] = []
        size = 0
        for tensor in tensors:
            added = _num_elements(tensor) * tensor.dtype.size
            if bucket and (size + added > self._bucket_bytes or tensor.dtype.base_dtype != bucket[0].dtype.base_dtype):
                yield bucket
                bucket, size = [], 0
            bucket.append(tensor)
            size += added
        if bucket:
            yield bucket


class SynchronizedStep(NamedTuple):
    """One training step of all tasks together.

    Attributes:
      loss: scalar, mean of the tasks' losses.
      gradients: (mean gradient, variable), in the order given.
      update_ops: to run with the optimizer's update: they leave the mean statistics in the variables.
      stop_request: scalar float32; feed 1 to ask all tasks to stop after this step.
      stop: scalar bool, the same on every task: whether this step is the last, because a task asked for it or the loss
        is not finite.
    """

    loss: Any
    gradients: list[tuple[Any, Any]]
    update_ops: list[Any]
    stop_request: Any
    stop: Any


def synchronize_step(
    group: ReplicaGroup,
    loss: Any,
    gradients: Sequence[tuple[Any, Any]],
    update_ops: Sequence[Any] = (),
    statistics: Sequence[Any] = (),
) -> SynchronizedStep:
    """Replace what this task computed in a step by its mean over the tasks.

    Args:
      loss: scalar, of this task's images, regularization included.
      gradients: (gradient, variable) of that loss, in the order in which the variables were made.
      update_ops: change ``statistics`` from this task's images.
      statistics: variables that are not trained but follow the images: moving means and variances of batch norm.
    """
    stop_request = tf.placeholder_with_default(tf.zeros((), tf.float32), (), name="stop_request")
    with tf.control_dependencies(update_ops):
        own_statistics = [variable.read_value() for variable in statistics]
    # Back-propagation makes the gradients of the last variables first.
    backwards = [_dense(gradient, variable) for gradient, variable in reversed(gradients)]
    means = iter(group.mean([*own_statistics, loss, stop_request, *backwards]))
    mean_statistics = list(itertools.islice(means, len(statistics)))
    mean_loss, requests = next(means), next(means)
    mean_gradients = list(means)[::-1]
    with tf.device(group.device):
        stop = tf.logical_or(requests > 0, ~tf.is_finite(mean_loss), name="stop")
    return SynchronizedStep(
        loss=mean_loss,
        gradients=[(mean, variable) for mean, (_, variable) in zip(mean_gradients, gradients, strict=True)],
        update_ops=[
            *update_ops,
            *(variable.assign(mean).op for variable, mean in zip(statistics, mean_statistics, strict=True)),
        ],
        stop_request=stop_request,
        stop=stop,
    )


def session_config(base: tf.ConfigProto, replica_id: int, job_name: str = "worker") -> tf.ConfigProto:
    """Options of a task's training session: its variables are its own, and only collective ops wait for other tasks.

    They ask one task who is in the group, the chief, which the options of the task's server must name as well.
    """
    config = tf.ConfigProto()
    config.CopyFrom(base)
    config.isolate_session_state = True
    del config.device_filters[:]
    config.device_filters.append(f"/job:{job_name}/task:{replica_id}")
    config.experimental.collective_group_leader = f"/job:{job_name}/replica:0/task:0"
    return config


def _dense(gradient: Any, variable: Any) -> Any:
    return tf.ensure_shape(tf.convert_to_tensor(gradient), variable.shape)


def _num_elements(tensor: Any) -> int:
    count = tensor.shape.num_elements()
    assert count is not None, f"{tensor.name} must have a known shape, has {tensor.shape}"
    return count


def _pack(tensors: Sequence[Any]) -> Any:
    return _join([tf.reshape(tensor, [-1]) for tensor in tensors])


def _pack_exactly(tensors: Sequence[Any]) -> Any:
    """As ``_pack``, with the bits taken for whole numbers meanwhile.

    TensorFlow's rewrite to 16-bit floats spreads from gradients over reshaping and concatenation, to everything that is
    packed with them: moving statistics would lose their last 16 bits at each step, and their small changes with these.
    """
    dtype = tensors[0].dtype.base_dtype
    return tf.bitcast(_pack([tf.bitcast(tensor, _BITS_OF_SIZE[dtype.size]) for tensor in tensors]), dtype)


def _join(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)


def _unpack(flat: Any, like: Sequence[Any]) -> list[Any]:
    parts = tf.split(flat, [_num_elements(tensor) for tensor in like]) if len(like) > 1 else [flat]
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, like, strict=True)]
