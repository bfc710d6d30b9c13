"""What happens to requests before they reach a route."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="serving is not installed: pip install .[serve]")
pytest.importorskip("prometheus_client", reason="serving is not installed: pip install .[serve]")

from starlette.responses import PlainTextResponse

from slim_train.serving.middleware import LimitBody, RefuseAtEnd

SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/service", "headers": []}


def test_a_request_that_is_cancelled_before_its_answer_gets_503() -> None:
    sent: list[Any] = []

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def stop() -> None:
        task = asyncio.create_task(RefuseAtEnd(hangs)(SCOPE, None, send))
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(stop())
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert b"The server is being stopped." in sent[1]["body"]


class Request:
    """A request to a LimitBody, whose body comes as the test sends it; the app answers 200 when told to."""

    def __init__(self, app: Any) -> None:
        self.parts: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self.task = asyncio.create_task(app(SCOPE, self.parts.get, self._send))

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def send(self, size: int, more: bool = True) -> None:
        self.parts.put_nowait({"type": "http.request", "body": bytes(size), "more_body": more})
        for _ in range(10):  # Whoever waits for it has it by then.
            await asyncio.sleep(0)

    def answer(self) -> tuple[int, bytes]:
        return self.sent[0]["status"], self.sent[1]["body"]


async def reads(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("read")(scope, receive, send)


def test_bodies_that_are_too_much_together_get_503_until_others_are_answered() -> None:
    async def overfill() -> None:
        app = LimitBody(reads, max_bytes=100, largest_at_once=2)
        first, second, third = Request(app), Request(app), Request(app)
        await first.send(100)
        await second.send(100)
        await third.send(1)
        assert third.answer()[0] == 503
        assert (b"retry-after", b"1") in third.sent[0]["headers"]
        await third.send(0, more=False)
        await first.send(0, more=False)
        assert first.answer() == (200, b"read")
        fourth = Request(app)
        await fourth.send(100, more=False)
        assert fourth.answer() == (200, b"read")
        await second.send(0, more=False)
        await asyncio.gather(first.task, second.task, third.task, fourth.task)

    asyncio.run(overfill())


def test_a_body_that_does_not_come_to_its_end_gets_408() -> None:
    async def stall() -> None:
        request = Request(LimitBody(reads, max_bytes=100, seconds=0.05))
        await request.send(10)
        while not request.sent:
            await asyncio.sleep(0.01)
        await request.send(0, more=False)
        await request.task
        assert request.answer() == (408, b'{"error":"The body of the request did not come in time."}')

    asyncio.run(asyncio.wait_for(stall(), 60))


def test_an_answer_may_take_longer_than_its_body_may() -> None:
    async def answers_late(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(asyncio.TimeoutError):  # and not the refusal of the body
            await asyncio.wait_for(receive(), 0.1)
        await PlainTextResponse("late")(scope, receive, send)

    async def wait() -> None:
        request = Request(LimitBody(answers_late, max_bytes=100, seconds=0.01))
        await request.send(10, more=False)
        await request.task
        assert request.answer() == (200, b"late")

    asyncio.run(asyncio.wait_for(wait(), 60))
