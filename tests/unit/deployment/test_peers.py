import contextlib
import threading
from concurrent import futures

import grpc
import pytest

from deployment.peers import Peers, PeerWatch


class _Server:
    """A real gRPC server that answers the question for a task's status with ``status``."""

    def __init__(self, status, address="localhost:0"):
        handlers = {"GetStatus": grpc.unary_unary_rpc_method_handler(lambda request, context: status)}
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("tensorflow.WorkerService", handlers)]
        )
        self.address = f"localhost:{self._server.add_insecure_port(address)}"
        self._server.start()

    def stop(self):
        self._server.stop(grace=0).wait()


@pytest.fixture
def server():
    server = _Server(b"incarnation 1")
    yield server
    server.stop()


class _Losses:
    def __init__(self):
        self.sentences = []
        self._came = threading.Event()

    def __call__(self, sentence):
        self.sentences.append(sentence)
        self._came.set()

    def wait(self, timeout=30):
        return self._came.wait(timeout)


def _watch(server, losses, patience_secs=1.0):
    peers = Peers({"worker 1": server.address})
    return PeerWatch(peers, {"worker 1": b"incarnation 1"}, patience_secs, losses)


@contextlib.contextmanager
def _watching(*args, **kwargs):
    watch = _watch(*args, **kwargs)
    watch.start()
    yield watch
    watch.stop()


def test_a_running_server_gives_its_status_and_a_missing_one_none(server):
    missing = _Server(b"")
    missing.stop()
    peers = Peers({"chief": server.address, "worker 1": missing.address})
    assert peers.statuses(timeout_secs=5) == {"chief": b"incarnation 1", "worker 1": None}


def test_peers_that_answer_are_left_in_peace(server):
    losses = _Losses()
    with _watching(server, losses, patience_secs=0.2):
        assert not losses.wait(1)


def test_a_peer_that_falls_silent_is_named_with_its_address(server):
    losses = _Losses()
    with _watching(server, losses):
        server.stop()
        assert losses.wait()
    assert losses.sentences == [f"worker 1 ({server.address}) no longer answers"]


def test_another_process_in_the_place_of_a_peer_is_noticed(server):
    server.stop()
    anew = _Server(b"incarnation 2", server.address)
    losses = _Losses()
    with _watching(anew, losses, patience_secs=3):
        assert losses.wait()
    anew.stop()
    assert losses.sentences == [f"worker 1 ({server.address}) has been restarted"]


def test_after_stop_peers_may_leave(server):
    losses = _Losses()
    with _watching(server, losses, patience_secs=0.2) as watch:
        watch.stop()
        server.stop()
        assert not losses.wait(1)


def test_a_loss_is_found_at_once_when_asked_for(server):
    watch = _watch(server, _Losses(), patience_secs=1000)
    assert watch.find_loss(timeout_secs=0.5) is None
    server.stop()
    assert watch.find_loss(timeout_secs=30) == f"worker 1 ({server.address}) no longer answers"
