"""The process that Spark's Python workers on this machine are forked from: TensorFlow is imported once. No TensorFlow.

It imports while Spark starts. Spark's Java starts :mod:`deployment.spark.relay`, which has it fork the daemon that
workers are forked from. It also runs calls, so that the driver of a job can do without the imports.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from deployment.spark import relay
from deployment.spark.parent_process import CALL

_MODULE = "slim_train_relay"
_LONGEST = 70
_ROOT = Path(__file__).resolve().parents[2]
# What a process runs, given our folder, a socket and modules.
_START = (
    "import sys\n"
    # Not before the standard library if it is the folder of all packages.
    "sys.path[:1] = [] if sys.argv[1] in sys.path[1:] else sys.argv[1:2]\n"
    "from deployment.spark.parent_process import main\n"
    "main(int(sys.argv[2]), sys.argv[3:])\n"
)


class ParentLostError(Exception):
    """The parent of workers has ended, or could not import its modules."""


class WorkerParent:
    """A process that has imported modules, for workers that are forked from it. A context manager.

    Args:
      modules: to import, such as ``pyspark.daemon`` and what tasks import. None of them may start a thread.
      environment: what the process finds in its environment besides that of this one.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        # The address of a socket has at most 107 bytes.
        is_long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST
        self._folder = Path(tempfile.mkdtemp(prefix="slim-train-workers-", dir="/tmp" if is_long else None))
        self._address = os.fspath(self._folder / "parent")
        shutil.copyfile(relay.__file__, self._folder / f"{_MODULE}.py")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen()
            number = listener.fileno()
            words = [sys.executable, "-c", _START, os.fspath(_ROOT), str(number), *modules]
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                pass_fds=[number],
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def settings(self) -> dict[str, str]:
        """Return the settings with which a local Spark takes its workers from here."""
        return {
            "spark.python.daemon.module": _MODULE,
            "spark.executorEnv.PYTHONPATH": os.fspath(self._folder),
            f"spark.executorEnv.{relay.ADDRESS}": self._address,
        }

    def call(self, function: str, *arguments: Any) -> Any:
        """Return the result of a function, called in a fork; what it logs is logged here.

        Args:
          function: ``module:name``.
          arguments: to be pickled, as the result is.

        Raises:
          ParentLostError: the process has ended.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self._address)
                connection.sendall(CALL + pickle.dumps((function, arguments, logging.getLogger().level)))
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as file:
                    result, error, trace, records = pickle.load(file)
            except (OSError, EOFError) as lost:
                raise ParentLostError(function) from lost
        for record in records:
            logging.getLogger(record.name).handle(record)
        if error is not None:
            raise error from RuntimeError(trace)
        return result

    def close(self) -> None:
        """End the process. Daemons that it forked end with the Spark that they serve."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> WorkerParent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
