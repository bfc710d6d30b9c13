"""What happens to requests before they reach a route."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="serving is not installed: pip install .[serve]")
pytest.importorskip("prometheus_client", reason="serving is not installed: pip install .[serve]")

from slim_train.serving.middleware import RefuseAtEnd

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
