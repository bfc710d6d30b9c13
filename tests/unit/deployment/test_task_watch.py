import logging
import socket
import threading
from concurrent import futures

import grpc
import pytest

from deployment.cluster import Task
from deployment.task_watch import TaskWatch


class _Server:
    """A real gRPC server that answers the question for a task's status, while it is not asleep."""

    def __init__(self, status, address="127.0.0.1:0"):
        self.awake = threading.Event()
        self.awake.set()

        def answer(_request, _context):
            self.awake.wait()
            return status

        handlers = {"GetStatus": grpc.unary_unary_rpc_method_handler(answer)}
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("tensorflow.WorkerService", handlers)]
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port(address)}"
        self._server.start()

    def connect(self):
        """A connection as TensorFlow would hold one."""
        host, port = self.address.split(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def stop(self):
        self.awake.set()
        self._server.stop(grace=0).wait()


@pytest.fixture
def server():
    server = _Server(b"incarnation 1")
    yield server
    server.stop()


def _watch(server, timeout_secs=1.0):
    return TaskWatch([Task("ps", 0, "ps", 0, server.address)], timeout_secs)


def _wait_for(condition):
    waiting = threading.Event()
    for _ in range(600):
        if condition():
            return
        waiting.wait(0.1)
    raise AssertionError("nothing happened for a minute")


def _is_closed(connection):
    """Whether the other side, or this process elsewhere, has ended the connection."""
    connection.setblocking(False)
    try:
        while received := connection.recv(4096):  # gRPC greets.
            assert received
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_task_that_hangs_is_lost_and_connections_to_it_are_shut_down(server, caplog):
    caplog.set_level(logging.INFO)
    with _watch(server) as watch, server.connect() as connection:
        _wait_for(lambda: watch.has_heard("ps 0"))
        assert not watch.is_lost("ps 0")
        server.awake.clear()
        _wait_for(lambda: watch.is_lost("ps 0"))
        _wait_for(lambda: _is_closed(connection))
        assert f"ps 0 ({server.address}) has not answered for 1 s (--task_timeout_secs)" in caplog.text
        server.awake.set()
        _wait_for(lambda: not watch.is_lost("ps 0"))
        assert "answers again" in caplog.text
    assert caplog.text.count("has not answered") == 1


def test_a_task_that_never_answered_is_not_lost_yet(server):
    server.awake.clear()
    with _watch(server, timeout_secs=0.5) as watch:
        assert not threading.Event().wait(2)
        assert not watch.is_lost("ps 0")


def test_a_task_that_is_forgotten_may_leave(server, caplog):
    with _watch(server, timeout_secs=0.5) as watch:
        _wait_for(lambda: watch.has_heard("ps 0"))
        watch.forget("ps 0")
        server.awake.clear()
        assert not threading.Event().wait(2)
        assert not watch.is_lost("ps 0")
    assert not caplog.text


def test_a_timeout_of_0_watches_nothing(server):
    with _watch(server, timeout_secs=0) as watch:
        assert not watch.has_heard("ps 0")


@pytest.mark.slow
def test_another_process_in_its_place_ends_calls_to_the_one_before(server, caplog):
    with _watch(server, timeout_secs=60) as watch:
        watch.reconnected()
        _wait_for(lambda: watch.has_heard("ps 0"))
        server.stop()
        replacement = _Server(b"incarnation 2", server.address)
        try:
            with replacement.connect() as connection:
                _wait_for(lambda: _is_closed(connection))
        finally:
            replacement.stop()
    assert "has been replaced" in caplog.text


def test_connections_made_since_then_to_the_other_process_stay(server, caplog):
    with _watch(server, timeout_secs=2) as watch:
        watch.reconnected()
        _wait_for(lambda: watch.has_heard("ps 0"))
        server.stop()
        replacement = _Server(b"incarnation 2", server.address)
        watch.reconnected()
        try:
            with replacement.connect() as connection:
                assert not threading.Event().wait(3)
                assert not _is_closed(connection)
        finally:
            replacement.stop()
    assert "has been replaced" not in caplog.text
