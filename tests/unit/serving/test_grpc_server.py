"""gRPC on loopback, over a model that takes no time."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("grpc_health.v1", reason="gRPC is not installed: pip install .[grpc]")
pytest.importorskip("tensorflow_serving", reason="gRPC is not installed: pip install .[grpc]")

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from slim_train.errors import UsageError
from slim_train.serving.grpc_server import GrpcServer
from slim_train.serving.request_metrics import Metrics
from slim_train.tf_compat import tf

TIMEOUT = 60
STATUS = get_model_status_pb2.GetModelStatusRequest()


class Running:
    """A server of gRPC, its metrics and its port."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.metrics = Metrics()
        limits = {"host": "127.0.0.1", "port": 0, "max_message_bytes": 10_000, "max_calls": 8}
        self.server = GrpcServer(store, self.metrics, **{**limits, **options})
        self.port = self.server.listen()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")

    def health(self, service: str = "") -> str:
        answer = health_pb2_grpc.HealthStub(self.channel).Check(
            health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT
        )
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def status(self, **metadata: str) -> Any:
        stub = model_service_pb2_grpc.ModelServiceStub(self.channel)
        return stub.GetModelStatus(STATUS, timeout=TIMEOUT, metadata=tuple(metadata.items()))

    def close(self) -> None:
        self.channel.close()
        self.server.stop(0)
        self.server.join(TIMEOUT)


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """``run(store, **options of GrpcServer)``."""
    servers: list[Running] = []

    def start(store: Any, **options: Any) -> Running:
        servers.append(Running(store, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_health_follows_the_models(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    store = serve(load=False).store
    running = run(store)
    assert running.health() == "NOT_SERVING"
    store.load()
    assert running.health() == running.health("tensorflow.serving.PredictionService") == "SERVING"
    with pytest.raises(grpc.RpcError) as error:
        running.health("nothing")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_watch_hears_of_the_end(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    running = run(serve().store)
    states = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
    assert next(states).status == health_pb2.HealthCheckResponse.SERVING
    running.server.stop(TIMEOUT)
    assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
    running.server.join(TIMEOUT)
    assert not running.server.is_alive()


def test_a_key_is_asked_for_except_by_health_checks(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    running = run(serve().store, api_keys=("secret", "other"))
    assert running.health() == "SERVING"
    for metadata in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}):
        with pytest.raises(grpc.RpcError) as error:
            running.status(**metadata)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    for metadata in ({"authorization": "Bearer other"}, {"x-api-key": "secret"}):
        assert running.status(**metadata).model_version_status[0].version == 3


def test_calls_are_counted_by_status(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    running = run(serve().store, api_keys=("secret",))
    running.status(**{"x-api-key": "secret"})
    with pytest.raises(grpc.RpcError):
        running.status()
    counts = running.metrics.render().decode()
    route = "/tensorflow.serving.ModelService/GetModelStatus"
    for code in ("OK", "UNAUTHENTICATED"):
        assert f'slim_train_requests_total{{route="{route}",status="{code}"}} 1.0' in counts


def test_a_port_that_is_taken_is_an_error(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    store = serve().store
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Cannot listen on --host=127.0.0.1 --grpc_port={port}"):
            run(store, port=port)
    first = run(store)
    with pytest.raises(UsageError, match="Cannot listen on"):
        run(store, port=first.port)


def test_calls_that_are_not_implemented_say_so(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(run(serve().store).channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Regress(regression_pb2.RegressionRequest(), timeout=TIMEOUT)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_watches_leave_room_for_calls(serve: Callable[..., Any], run: Callable[..., Running]) -> None:
    running = run(serve().store, max_calls=1)
    stub = health_pb2_grpc.HealthStub(running.channel)
    watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT) for _ in range(8)]
    assert all(next(watch).status == health_pb2.HealthCheckResponse.SERVING for watch in watches)
    with pytest.raises(grpc.RpcError) as error:
        next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert running.status().model_version_status
    for watch in watches:
        watch.cancel()


def test_what_a_call_without_a_key_brings_is_not_received(
    serve: Callable[..., Any], run: Callable[..., Running]
) -> None:
    running = run(serve().store, api_keys=("secret",))
    call = running.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as error:
        call(b"\xff" * 9_000, timeout=TIMEOUT)  # no message at all
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as error:
        call(b"\xff" * 9_000, timeout=TIMEOUT, metadata=(("x-api-key", "secret"),))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_messages_that_wait_for_the_net_are_bounded_together(
    serve: Callable[..., Any], run: Callable[..., Running]
) -> None:
    served = serve()
    served.servable.gate.clear()  # the net hangs
    running = run(served.store, max_message_bytes=10_000, max_calls=100)
    request = predict_pb2.PredictRequest()
    request.inputs["image"].CopyFrom(tf.make_tensor_proto([b"c" * 9_000]))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(running.channel)
    ended: queue.Queue[Any] = queue.Queue()
    for _ in range(30):
        stub.Predict.future(request, timeout=TIMEOUT).add_done_callback(ended.put)
    refused = [ended.get(timeout=TIMEOUT).code() for _ in range(13)]  # 17 of 9 kB fit into 160 kB
    served.servable.gate.set()
    answered = [ended.get(timeout=TIMEOUT).code() for _ in range(17)]
    assert set(refused) == {grpc.StatusCode.UNAVAILABLE}
    assert set(answered) == {grpc.StatusCode.OK}
