"""Signals handled for a while."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from deployment.signals import handled


def test_signals_come_to_the_receiver_and_the_old_handler_is_given_back():
    before, received = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(ZeroDivisionError), handled([signal.SIGTERM], lambda number, _: received.append(number)):
        os.kill(os.getpid(), signal.SIGTERM)
        raise ZeroDivisionError
    assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_changes_no_handler():
    seen = []

    def run():
        with handled([signal.SIGTERM], lambda *_: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
