"""All-reduce between real processes: the numbers, and what happens when a task dies or hangs."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

# A task of a cluster of any size trains a small net on its share of the same 16 images per step, and writes a line per
# step. A lone task takes all of them. Initial values differ by task; the chief's count.
PROGRAM = textwrap.dedent("""\
    import json, os, sys
    import numpy as np
    import tensorflow.compat.v1 as tf
    from deployment.cluster import parse_tf_config
    from deployment.collectives import ReplicaGroup, session_config, synchronize_step
    from deployment.peers import PeerWatch
    from deployment.rendezvous import meet
    from deployment.servers import start_server

    options = json.loads(sys.argv[1])
    cluster = parse_tf_config(os.environ["TF_CONFIG"])
    own, number, share = cluster.own, cluster.own.number, 16 // cluster.num_replicas
    config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=2)
    config = session_config(config, number)
    server = start_server(cluster, config)
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(50, 16, 8, 8, 3)).astype("f"), random.integers(0, 4, (50, 16))
    say = lambda **line: print(json.dumps(line), flush=True)

    with tf.Graph().as_default(), tf.device(f"{own.device}/device:CPU:0"):
        tf.set_random_seed(number)
        step = tf.train.get_or_create_global_step()
        image, label = (tf.constant(x[:, number * share:][:, :share])[step] for x in (images, labels))
        with tf.variable_scope("net", use_resource=True):
            kernel = tf.get_variable("kernel", [3, 3, 3, 4])
            dense = tf.get_variable("dense", [8 * 8 * 4, 4])
            bias = tf.get_variable("bias", [4], initializer=tf.zeros_initializer())
            mean = tf.get_variable("mean", [], initializer=tf.zeros_initializer(), trainable=False)
        net = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
        logits = tf.matmul(tf.reshape(net, [share, -1]), dense) + bias
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits))
        update_ops = [mean.assign_add(0.1 * (tf.reduce_mean(image) - mean)).op]
        optimizer = tf.train.MomentumOptimizer(0.05, 0.9)
        gradients = optimizer.compute_gradients(loss)
        start, stop, request = tf.no_op(), tf.constant(False), tf.placeholder_with_default(0.0, ())
        if cluster.num_replicas > 1:
            group = ReplicaGroup(cluster.num_replicas, number, f"{own.device}/device:CPU:0", bucket_bytes=1000)
            loss, gradients, update_ops, request, stop = synchronize_step(group, loss, gradients, update_ops, [mean])
        train_op = tf.group(optimizer.apply_gradients(gradients, step), *update_ops)
        if cluster.num_replicas > 1:
            start = group.broadcast(tf.global_variables())
        with tf.Session(server.target, config=config) as session:
            session.run(tf.global_variables_initializer())
            if cluster.num_replicas > 1:
                meeting = meet(cluster, server.target, limit_secs=60)
                def end(loss):
                    say(lost=loss)
                    session.close()
                watch = PeerWatch(meeting.peers, meeting.statuses, options["patience_secs"], on_loss=end)
                watch.start()
            session.run(start)
            for index in range(options["steps"]):
                if (number, index) == tuple(options.get("hold", ())):
                    say(held=index)
                    sys.stdin.read()
                wants_stop = (number, index) == tuple(options.get("request_stop", ()))
                try:
                    _, value, stops = session.run([train_op, loss, stop], {request: float(wants_stop)})
                except (tf.errors.OpError, RuntimeError) as error:
                    say(error=watch.find_loss(timeout_secs=10), type=type(error).__name__)
                    os._exit(1)
                say(step=index, loss=float(value))
                if stops:
                    break
            if cluster.num_replicas > 1:
                watch.stop()
            say(dense=session.run(dense).sum().item(), mean=session.run(mean).item(), step=int(session.run(step)))
    os._exit(0)
    """)


class _Task:
    """A process of the program, and the lines that it wrote."""

    def __init__(self, addresses, index, options, tmp_path):
        tf_config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        self.address = addresses[index]
        self._errors = (tmp_path / f"errors_{index}").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps({"patience_secs": 5, **options})],
            env={**os.environ, "TF_CONFIG": json.dumps(tf_config), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": _ROOT},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def read_until(self, key):
        for text in self.process.stdout:
            line = json.loads(text)
            if key in line:
                return line
        self._errors.seek(0)
        raise AssertionError(f"ended without {key}: {self._errors.read()}")

    def lines(self):
        return [json.loads(line) for line in self.process.communicate(timeout=120)[0].splitlines()]


_ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def start(tmp_path):
    """Start a cluster of so many tasks; whatever still runs at the end is killed."""
    tasks = []

    def start_tasks(count, **options):
        listeners = [socket.create_server(("localhost", 0)) for _ in range(count)]
        addresses = [f"localhost:{listener.getsockname()[1]}" for listener in listeners]
        for listener in listeners:
            listener.close()
        tasks.extend(_Task(addresses, index, options, tmp_path) for index in range(count))
        return tasks[-count:]

    yield start_tasks
    for task in tasks:
        task.process.kill()
        task.process.wait()


def _losses(lines):
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.slow
def test_two_tasks_train_as_one_of_the_joint_batch_and_stop_together(start):
    pair = start(2, steps=40, request_stop=[1, 19])
    [alone] = start(1, steps=20)
    first, second = (task.lines() for task in pair)
    reference = alone.lines()
    assert len(_losses(reference)) == 20
    assert _losses(first) == _losses(second)
    assert _losses(first) == pytest.approx(_losses(reference), abs=1e-4)
    assert first[-1] == second[-1] == pytest.approx(reference[-1], abs=1e-4)
    assert [task.process.wait() for task in (*pair, alone)] == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_task_that_dies_or_hangs_ends_the_others_which_name_it(start, number):
    chief, worker = start(2, steps=40, hold=[1, 5])
    worker.read_until("held")
    worker.process.send_signal(number)
    assert chief.read_until("error")["error"] == f"worker 1 ({worker.address}) no longer answers"
    assert chief.process.wait(60) == 1


@pytest.mark.slow
def test_a_dead_chief_ends_the_workers(start):
    chief, worker = start(2, steps=40, hold=[0, 5])
    chief.read_until("held")
    chief.process.kill()
    assert worker.read_until("error")["error"] == f"worker 0 ({chief.address}) no longer answers"
    assert worker.process.wait(60) == 1


@pytest.mark.slow
def test_tasks_that_work_longer_than_the_patience_are_waited_for(start):
    tasks = start(2, steps=10, hold=[0, 5], patience_secs=1)
    tasks[0].read_until("held")
    time.sleep(4)
    tasks[0].process.stdin.close()
    for task in tasks:
        assert task.read_until("dense")["step"] == 10
