"""The training tasks meet before their first collective op, and only living processes of the same attempt do.

A collective op that starts while one task is still a process of an earlier attempt, about to fail, drags the new
processes down with it, which must then be restarted, and so on. So the chief calls the roll first: each
worker leaves its number and its server's status in a queue on the chief's server, and the chief lets them in once all
are there and each server still gives the status that its worker left. A worker that meets a chief of an earlier attempt
waits until that one is gone. No task waits in a call that cannot be interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from deployment.cluster import ClusterConfig
from deployment.peers import Peers
from deployment.servers import wait_until_none_missing

log = logging.getLogger(__name__)

_PROBE_TIMEOUT_SECS = 2.0
_CALL_TIMEOUT_MS = 20_000


class Meeting(NamedTuple):
    """What a task knows of the others once all have met.

    Attributes:
      peers: the other training tasks.
      statuses: what their servers answered; with ``peers`` for a ``PeerWatch``.
      differing: as the chief sees it, the workers with another signature; as a worker does, the chief if it has one.
    """

    peers: Peers
    statuses: dict[str, bytes]
    differing: list[str]


class _Token(NamedTuple):
    """What a worker leaves."""

    number: int
    status: bytes
    signature: bytes


class _Queues(NamedTuple):
    """On the chief's server: who has come, and for each task the leave to go on, which is the chief's signature."""

    roll: Any
    gates: list[Any]


# Waits until the function that it is given names nobody any more.
_Wait = Callable[[Callable[[], list[str]]], None]


def meet(
    cluster: ClusterConfig,
    server_target: str,
    signature: bytes = b"",
    limit_secs: float = 0,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> Meeting:
    """Wait until every training task of the cluster runs and waits too.

    Args:
      server_target: ``target`` of this task's ``tf.distribute.Server``.
      signature: of what the tasks must have in common.
      limit_secs: patience; 0 waits forever.
      is_interrupted: asked between two looks.

    Raises:
      LostTaskError: not all came in time; the message names those missing.
      Interrupted: ``is_interrupted`` said so.
    """
    training = cluster.training_tasks
    peers = Peers({task.name: str(task.address) for task in cluster.other_training_tasks})

    def wait(missing: Callable[[], list[str]]) -> None:
        wait_until_none_missing(missing, limit_secs, is_interrupted)

    if cluster.own.number == 0:
        tokens = _call_the_roll(server_target, [task.name for task in training], signature, peers, wait)
        differing = [peers.describe(name) for name, token in tokens.items() if token.signature != signature]
        return Meeting(peers, {name: token.status for name, token in tokens.items()}, differing)
    # By its port, on all interfaces: its name may not resolve yet.
    own_address = f"127.0.0.1:{server_target.rpartition(':')[2]}"
    [own_status] = Peers({"self": own_address}).statuses(timeout_secs=30).values()
    assert own_status is not None, "a server answers its own process"
    [chief] = (task for task in training if task.number == 0)
    chief_name = peers.describe(chief.name)
    token = _Token(cluster.own.number, own_status, signature)
    while True:
        wait(lambda: [name for name in _silent(peers) if name == chief_name])
        try:
            chiefs = _answer_the_roll(f"grpc://{chief.address}", len(training), token, chief_name, peers, wait)
            statuses = {name: status for name, status in peers.statuses(_PROBE_TIMEOUT_SECS).items() if status}
            if chiefs != signature:  # Then the chief may be gone by now.
                return Meeting(peers, statuses, [chief_name])
            if len(statuses) == len(peers.names):
                return Meeting(peers, statuses, [])
        except tf.errors.OpError as error:
            log.debug("The roll call broke off, the chief is being restarted: %s", error)


def _call_the_roll(target: str, names: list[str], signature: bytes, peers: Peers, wait: _Wait) -> dict[str, _Token]:
    """Return what each worker has left, by its name."""
    present: dict[str, _Token] = {}
    with tf.Graph().as_default(), _session(target) as session:
        queues = _queues(len(names))
        size, dequeue = queues.roll.size(), queues.roll.dequeue()
        let_in = [gate.enqueue([signature]) for gate in queues.gates[1:]]

        def missing() -> list[str]:
            for _ in range(session.run(size)):
                token = _Token(*session.run(dequeue))
                present[names[token.number]] = token
            statuses = peers.statuses(_PROBE_TIMEOUT_SECS)
            return [
                peers.describe(name)
                for name, status in statuses.items()
                if status is None or name not in present or status != present[name].status
            ]

        wait(missing)
        session.run(let_in)
    return present


def _answer_the_roll(
    chief_target: str, num_replicas: int, token: _Token, chief: str, peers: Peers, wait: _Wait
) -> bytes:
    """Return the chief's signature."""
    with tf.Graph().as_default(), _session(chief_target) as session:
        queues = _queues(num_replicas)
        gate = queues.gates[token.number]
        is_open, enter = gate.size() > 0, gate.dequeue()
        session.run(queues.roll.enqueue(token))
        wait(lambda: [] if session.run(is_open) else _silent(peers) or [chief])
        return session.run(enter)


def _silent(peers: Peers) -> list[str]:
    statuses = peers.statuses(_PROBE_TIMEOUT_SECS)
    return [peers.describe(name) for name, status in statuses.items() if status is None]


def _queues(num_replicas: int) -> _Queues:
    with tf.device("/job:worker/task:0/device:CPU:0"):
        roll = tf.FIFOQueue(-1, [tf.int64, tf.string, tf.string], shapes=[(), (), ()], shared_name="roll_call")
        gates = [tf.FIFOQueue(-1, tf.string, shapes=(), shared_name=f"gate_{n}") for n in range(num_replicas)]
    return _Queues(roll, gates)


def _session(chief_target: str) -> Any:
    """Return a session on the chief's server, where the queues are the same for all sessions."""
    config = tf.ConfigProto(device_filters=["/job:worker/task:0"], operation_timeout_in_ms=_CALL_TIMEOUT_MS)
    return tf.Session(chief_target, config=config)
