"""What happens to every request: counted, let in or not, and cut off when its body is too large. No TensorFlow."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slim_train.serving.errors import RequestError, busy
from slim_train.serving.request_metrics import Metrics

# A client that sends everything before it reads would find its connection reset, and not learn why, if the rest of its
# body were left unread. So it is read and dropped, within limits.
_DRAIN_SECS = 5.0
_DRAIN_BYTES = 256 * 10**6
# Bodies of the largest size that may be held at a time, over HTTP and over gRPC, and the time that one has to arrive.
LARGEST_AT_ONCE = 16
BODY_SECS = 60.0


class CountRequests:
    """Counts answers and times them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.observe_request(route, status, time.perf_counter() - began)


class RefuseAtEnd:
    """Answers 503 to requests that are cancelled, as they are when the server stops and has waited long enough."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        answering = False

        async def watched(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if answering or scope["type"] != "http":
                raise
            error = busy("The server is being stopped.")
            await JSONResponse({"error": error.message}, error.status, error.headers())(scope, receive, send)


class RequireKey:
    """Answers 401 to requests without one of the keys, except for paths that are open.

    Args:
      app: what is protected.
      keys: any of them opens; sent as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``.
      open_paths: exact paths; those that end with / stand for all below.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str], open_paths: Sequence[str]) -> None:
        self._app, self._keys = app, keys
        self._open = frozenset(open_paths)
        self._open_folders = tuple(path for path in open_paths if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or self._is_open(scope["path"]) or self._has_key(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        error = RequestError(401, "An API key is needed: send the header Authorization: Bearer KEY.")
        await _refuse(error, scope, receive, send, {"WWW-Authenticate": "Bearer"})

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._open_folders)

    def _has_key(self, headers: Headers) -> bool:
        return has_any(self._keys, headers.get("authorization", ""), headers.get("x-api-key", ""))


def has_any(keys: Sequence[str], authorization: str, api_key: str) -> bool:
    """Return whether a request has one of the keys.

    Args:
      keys: any of them opens.
      authorization: what the header says: ``Bearer KEY``.
      api_key: the header ``X-API-Key``, used if there is no bearer.
    """
    scheme, _, token = authorization.partition(" ")
    given = (token.strip() if scheme.lower() == "bearer" else api_key).encode("utf-8", "replace")
    # All are compared, each in constant time: how long it takes tells nothing.
    fits = [hmac.compare_digest(given, key.encode()) for key in keys]
    return any(fits)


class LimitBody:
    """Answers 413 to requests whose body is too large, by its header or, if there is none, as soon as it is.

    Bodies are held in memory until their requests are answered: 503 where all of them together would be too much, and
    408 where one does not come to its end.

    Args:
      app: what is protected.
      max_bytes: largest body that passes.
      largest_at_once: how many of that size may be held at one time, or more that are smaller.
      seconds: time that a body has to come in.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, largest_at_once: int = LARGEST_AT_ONCE, seconds: float = BODY_SECS
    ) -> None:
        self._app, self._max_bytes, self._seconds = app, max_bytes, seconds
        self._max_held = largest_at_once * max_bytes
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        error = RequestError(413, f"The request is too large: at most {self._max_bytes / 1e6:g} MB.")
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await _refuse(error, scope, receive, send)
            return
        received = 0
        complete = answering = False
        deadline = time.monotonic() + self._seconds

        async def limited() -> Message:
            nonlocal received, complete
            if complete:  # What comes now is no body.
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                raise _Refused(RequestError(408, "The body of the request did not come in time.")) from None
            size = len(message.get("body", b""))
            received += size
            self._held += size
            complete = not message.get("more_body", False)
            if received > self._max_bytes:
                raise _Refused(error)
            if self._held > self._max_held:
                raise _Refused(busy("Too many large requests are being answered. Try again in a moment."))
            return message

        async def watched(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        refusal = None
        try:
            await self._app(scope, limited, watched)
        except _Refused as refused:
            refusal = refused.error
        finally:
            self._held -= received
        if refusal:  # Not before the exception is gone, and with it what it holds of the body.
            assert not answering, "answered before the body was read"
            await _refuse(refusal, scope, receive, send)


class _Refused(Exception):
    """The body is not taken."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error)
        self.error = error


async def _refuse(
    error: RequestError, scope: Scope, receive: Receive, send: Send, headers: dict[str, str] | None = None
) -> None:
    """Answer with an error, complete at once for a client that listens, then read on for one that does not yet."""
    headers = {"Connection": "close", **error.headers(), **(headers or {})}
    response = JSONResponse({"error": error.message}, error.status, headers)
    await send({"type": "http.response.start", "status": error.status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    if not Headers(scope=scope).get("expect"):  # Who asked first whether to send will not send.
        await _drain(receive)
    await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    async def drain() -> None:
        dropped = 0
        message: Any = {"more_body": True}
        while message.get("more_body", False) and dropped < _DRAIN_BYTES:
            message = await receive()
            dropped += len(message.get("body", b""))

    try:
        await asyncio.wait_for(drain(), _DRAIN_SECS)
    except asyncio.TimeoutError:
        return
