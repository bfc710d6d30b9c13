"""Errors of stores that pass, and asking again. No TensorFlow."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")

log = logging.getLogger(__name__)

# Clients get new tokens by themselves, and may be a little late.
_WAITS_SECS = (1.0, 4.0)


class ExpiredToken(PermissionError):
    """The store does not accept the credentials any more."""


class BusyStore(OSError):
    """The store has a fault, or too many requests, and asks to come back later."""


def asking_again(
    renew: Callable[[], None] = lambda: None,
) -> Callable[[Callable[..., ResultT]], Callable[..., ResultT]]:
    """Return a decorator: the function is called up to twice more if the token has expired or the store is busy.

    Args:
      renew: called before the function is called again with a token that has expired.
    """

    def decorate(function: Callable[..., ResultT]) -> Callable[..., ResultT]:
        @functools.wraps(function)
        def call(*arguments: object) -> ResultT:
            for wait_secs in _WAITS_SECS:
                try:
                    return function(*arguments)
                except (ExpiredToken, BusyStore) as error:
                    log.debug("%s: %s. Asking again.", error.filename, error.strerror)
                    time.sleep(wait_secs)
                    if isinstance(error, ExpiredToken):
                        renew()
            return function(*arguments)

        return call

    return decorate
