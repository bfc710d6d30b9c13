"""TensorFlow's import, which comes with the first verb that needs it, and its noise. No TensorFlow before."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_LOCK = threading.Lock()
_quiet = contextlib.ExitStack()
_num_inside = 0


@contextlib.contextmanager
def tensorflow_ready() -> Iterator[None]:
    """Import TensorFlow, and silence its deprecation warnings in the block.

    Warning filters, loggers and the environment are the same afterwards, with calls in several threads too.
    """
    global _num_inside
    with _LOCK:
        _import_tensorflow()
        if _num_inside == 0:
            _quiet.enter_context(_deprecations_hidden())
        _num_inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _num_inside -= 1
            if _num_inside == 0:
                _quiet.close()


def _import_tensorflow() -> None:
    """Import it without messages about missing GPUs, unless the user set TF_CPP_MIN_LOG_LEVEL."""
    if "tensorflow" in sys.modules or _LEVEL in os.environ:
        return
    os.environ[_LEVEL] = "3"  # read once, by the import
    try:
        importlib.import_module("slim_train.tf_compat")
    finally:
        del os.environ[_LEVEL]


@contextlib.contextmanager
def _deprecations_hidden() -> Iterator[None]:
    logger = logging.getLogger("tensorflow")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is deprecated and will be removed in a future version")
        logger.addFilter(_is_not_deprecation)
        try:
            yield
        finally:
            logger.removeFilter(_is_not_deprecation)


def _is_not_deprecation(record: logging.LogRecord) -> bool:
    return " is deprecated and will be removed" not in record.getMessage()
