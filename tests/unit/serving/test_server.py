from __future__ import annotations

import signal

import pytest

pytest.importorskip("uvicorn", reason="serving is not installed: pip install .[serve]")

import uvicorn

from slim_train.serving.server import OrderlyServer


def test_the_handler_of_a_signal_only_asks_for_the_stop_because_it_may_interrupt_who_holds_a_lock() -> None:
    begun = []
    server = OrderlyServer(uvicorn.Config(lambda: None), lambda: begun.append(True))
    with server.capture_signals():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert server.should_exit
    assert not server.force_exit
    assert not begun


def test_a_second_ctrl_c_does_not_wait_for_requests() -> None:
    server = OrderlyServer(uvicorn.Config(lambda: None), lambda: None)
    with server.capture_signals():
        signal.raise_signal(signal.SIGINT)
        assert not server.force_exit
        signal.raise_signal(signal.SIGINT)
    assert server.force_exit
