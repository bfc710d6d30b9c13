import json
import socket
import threading

import pytest
import tensorflow.compat.v1 as tf

from deployment.cluster import parse_tf_config
from deployment.rendezvous import meet
from deployment.servers import LostTaskError, start_server


def _free_address():
    with socket.create_server(("localhost", 0)) as listener:
        return f"localhost:{listener.getsockname()[1]}"


@pytest.fixture
def clusters():
    """A cluster of two, as the chief and the worker see it."""
    cluster = {"chief": [_free_address()], "worker": [_free_address()]}
    return [
        parse_tf_config(json.dumps({"cluster": cluster, "task": {"type": task_type, "index": 0}}))
        for task_type in ("chief", "worker")
    ]


def _meet(cluster, signature=b"", limit_secs=60):
    return meet(cluster, start_server(cluster, tf.ConfigProto()).target, signature, limit_secs)


def test_the_tasks_meet_whoever_comes_first_and_know_each_other(clusters):
    chief, worker = clusters
    met = {}
    thread = threading.Thread(target=lambda: met.update(worker=_meet(worker)))
    thread.start()
    thread.join(1)
    assert thread.is_alive()
    met["chief"] = _meet(chief)
    thread.join(60)
    assert {name: list(meeting.statuses) for name, meeting in met.items()} == {
        "chief": ["worker 0"],
        "worker": ["chief"],
    }
    for peers, statuses, _ in met.values():
        assert peers.statuses(timeout_secs=10) == statuses


@pytest.mark.parametrize("of_worker", [b"same", b"other"])
def test_both_learn_whether_the_other_has_the_same_signature(clusters, of_worker):
    chief, worker = clusters
    met = {}
    thread = threading.Thread(target=lambda: met.update(worker=_meet(worker, of_worker)))
    thread.start()
    met["chief"] = _meet(chief, b"same")
    thread.join(60)
    is_other = of_worker == b"other"
    assert met["chief"].differing == [f"worker 0 ({worker.own.address})"] * is_other
    assert met["worker"].differing == [f"chief ({chief.own.address})"] * is_other


def test_a_chief_whose_worker_does_not_come_names_it(clusters):
    chief, worker = clusters
    with pytest.raises(LostTaskError, match=rf"without success for worker 0 \({worker.own.address}\)"):
        _meet(chief, limit_secs=0.1)


def test_a_worker_waits_for_a_chief_that_does_not_call_the_roll(clusters):
    chief, worker = clusters
    _server = start_server(chief, tf.ConfigProto())
    with pytest.raises(LostTaskError, match=rf"without success for chief \({chief.own.address}\)"):
        _meet(worker, limit_secs=1)
