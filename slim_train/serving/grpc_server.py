"""gRPC beside HTTP: the same models, batches, keys and limits on a second port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from slim_train.errors import UsageError
from slim_train.serving.errors import RequestError, busy
from slim_train.serving.middleware import BODY_SECS, LARGEST_AT_ONCE, has_any
from slim_train.serving.models import ModelStore
from slim_train.serving.protocols import tfserving_grpc
from slim_train.serving.request_metrics import Metrics

try:
    from slim_train.serving.protocols import oip_grpc
except ImportError:  # A separate extra: tritonclient may hold protobuf back.
    oip_grpc = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}
# Calls in addition to those that wait for a model: of its state, above all.
_OTHER_CALLS = 16
# Health is open to anyone, and a watch has no end.
_MOST_WATCHES = 8
_HEALTH = "grpc.health.v1.Health"
_HEALTH_SECS = 1.0
_OPEN_CALLS = oip_grpc.OPEN_CALLS if oip_grpc else ()
_SERVICES = ("", *tfserving_grpc.SERVICES, *([oip_grpc.SERVICE] if oip_grpc else []))


class GrpcServer(threading.Thread):
    """A server of TensorFlow Serving's calls, health checks and, if its extra is there, the Open Inference Protocol.

    Args:
      store: the models; need not be loaded yet.
      metrics: counts calls.
      host: address to listen on.
      port: to listen on; 0 for a free one.
      max_message_bytes: larger requests are refused, with RESOURCE_EXHAUSTED.
      max_calls: calls that are answered at a time; further ones are refused.
      api_keys: calls other than health checks must bring one of them; none: no key is asked for.
    """

    def __init__(
        self,
        store: ModelStore,
        metrics: Metrics,
        *,
        host: str,
        port: int,
        max_message_bytes: int,
        max_calls: int,
        api_keys: Sequence[str] = (),
    ) -> None:
        super().__init__(name="grpc", daemon=True)
        self._store, self._metrics, self._keys = store, metrics, api_keys
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._flags = f"--host={host} --grpc_port={port}"
        self._options = (
            ("grpc.max_receive_message_length", max_message_bytes),
            # A second server on the port would get half of the calls, instead of an error.
            ("grpc.so_reuseport", 0),
        )
        self._max_calls, self._max_message_bytes = max_calls + _OTHER_CALLS, max_message_bytes
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Future[float] = self._loop.create_future()
        self._is_up = threading.Event()
        self._port: int | None = None

    def listen(self) -> int:
        """Start, and return the port.

        Raises:
          UsageError: it cannot be listened on.
        """
        self.start()
        self._is_up.wait()
        if self._port is None:
            raise UsageError(f"Cannot listen on {self._flags}: the port is taken, or not of this machine.")
        return self._port

    def stop(self, seconds: float) -> None:
        """Refuse new calls and give those in flight ``seconds`` to end; any thread may call it, more than once."""

        def end() -> None:
            if not self._stopping.done():
                self._stopping.set_result(seconds)

        if self.is_alive():
            self._loop.call_soon_threadsafe(end)

    def run(self) -> None:
        """Answer until :meth:`stop`."""
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._is_up.set()

    async def _serve(self) -> None:
        server = grpc.aio.server(
            interceptors=[_Guard(self._metrics, self._keys, self._max_message_bytes)],
            options=self._options,
            maximum_concurrent_rpcs=self._max_calls,
        )
        tfserving_grpc.add_services(self._store, server)
        if oip_grpc:
            oip_grpc.add_service(self._store, server)
        health_pb2_grpc.add_HealthServicer_to_server(_Health(self._store, self._stopping), server)
        try:
            port = server.add_insecure_port(self._address)
        except RuntimeError:
            return
        await server.start()
        self._port = port
        self._is_up.set()
        await server.stop(await asyncio.shield(self._stopping))


class _Guard(grpc.aio.ServerInterceptor):
    """Asks for a key, turns errors into their status, and counts calls."""

    def __init__(self, metrics: Metrics, keys: Sequence[str], max_message_bytes: int) -> None:
        self._metrics, self._keys, self._bodies = metrics, keys, _Bodies(max_message_bytes)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return what answers a call."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        route = details.method
        is_open = route.startswith(f"/{_HEALTH}/") or route in _OPEN_CALLS or not self._keys
        sent = dict(details.invocation_metadata)
        has_key = is_open or has_any(self._keys, sent.get("authorization", ""), sent.get("x-api-key", ""))

        # Read as a stream of one message: before it is received, the key is checked, and that there is room for it.
        async def answer(messages: Any, context: Any) -> Any:
            began, result, refused = time.perf_counter(), None, None

            def count(code: grpc.StatusCode) -> None:
                self._metrics.observe_request(route, code.name, time.perf_counter() - began)

            try:
                if not has_key:
                    raise RequestError(401, "An API key is needed: send the metadata authorization: Bearer KEY.")
                async with self._bodies.received(messages) as body:
                    result = await handler.unary_unary(handler.request_deserializer(body), context)
            except RequestError as error:
                refused = error
            except NotImplementedError:
                count(grpc.StatusCode.UNIMPLEMENTED)
                return await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{route} is not implemented.")
            except DecodeError:
                refused = RequestError(400, "The request is not a message of this call.")
            except asyncio.CancelledError:
                count(grpc.StatusCode.CANCELLED)
                raise
            except Exception:
                log.exception("%s failed.", route)
                refused = RequestError(500, "The server failed on this request; its log says why.")
            if refused is None:
                count(grpc.StatusCode.OK)
                return result
            code = _CODES.get(refused.status, grpc.StatusCode.INTERNAL)
            count(code)
            retry_ms = None if refused.retry_after is None else str(1000 * refused.retry_after)
            trailing = (("grpc-retry-pushback-ms", retry_ms),) if retry_ms else ()
            return await context.abort(code, refused.message, trailing)  # raises

        return grpc.stream_unary_rpc_method_handler(answer, response_serializer=handler.response_serializer)


class _Bodies:
    """The messages that are received or answered now, bounded in bytes as HTTP bodies are."""

    def __init__(self, max_bytes: int) -> None:
        self._max_held = LARGEST_AT_ONCE * max_bytes
        self._held = 0
        self._receiving = asyncio.Semaphore(LARGEST_AT_ONCE)

    @contextlib.asynccontextmanager
    async def received(self, messages: Any) -> AsyncIterator[bytes]:
        """Receive the message of a call, and hold it in the block.

        Raises:
          RequestError: 400, there is none; 408, it does not come in time; 503, there is no room.
        """
        async with self._receiving:
            try:
                body = await asyncio.wait_for(anext(aiter(messages)), BODY_SECS)
            except StopAsyncIteration:
                raise RequestError(400, "The call has no message.") from None
            except asyncio.TimeoutError:
                raise RequestError(408, "The message did not come in time.") from None
        if self._held + len(body) > self._max_held:
            raise busy("Too many large requests are being answered. Try again in a moment.")
        self._held += len(body)
        try:
            yield body
        finally:
            self._held -= len(body)


class _Health(health_pb2_grpc.HealthServicer):
    """SERVING when every model is loaded and warm, as /v2/health/ready."""

    def __init__(self, store: ModelStore, stopping: asyncio.Future[float]) -> None:
        self._store, self._stopping, self._watches = store, stopping, 0

    async def Check(self, request: Any, context: Any) -> Any:
        """Return the state now."""
        if request.service not in _SERVICES:
            raise RequestError(404, "There is no such service.")
        return self._state()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield the state, and again when it changes."""
        if self._watches >= _MOST_WATCHES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "There are too many watches: use Check.")
        self._watches += 1
        try:
            known, last = request.service in _SERVICES, None
            while True:
                is_last = self._stopping.done()
                state = self._state() if known else _health("SERVICE_UNKNOWN")
                if state != last:
                    yield state
                    last = state
                if is_last:
                    return
                await asyncio.wait([self._stopping], timeout=_HEALTH_SECS)
        finally:
            self._watches -= 1

    def _state(self) -> Any:
        is_serving = self._store.is_ready and not self._stopping.done()
        return _health("SERVING" if is_serving else "NOT_SERVING")


def _health(state: str) -> Any:
    return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.ServingStatus.Value(state))
