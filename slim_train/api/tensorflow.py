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

from slim_train.notebook_progress import in_notebook

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
        logger.addFilter(_is_for_users)
        try:
            yield
        finally:
            logger.removeFilter(_is_for_users)


def _is_for_users(record: logging.LogRecord) -> bool:
    """Return whether a record is no deprecation, and in a notebook, where TensorFlow logs its steps too, a warning."""
    if record.levelno < logging.WARNING and in_notebook():
        return False
    return " is deprecated and will be removed" not in record.getMessage()
