"""One role of a job as a process that cannot be left behind. No TensorFlow."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from deployment.role_output import LineWriter
from deployment.task_status import PIPE, describe_pipe

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_CHUNK = 1 << 16
# A pipe holds no more than this; what left the group keeps it open and could fill it forever.
_MOST_CHUNKS_LEFT = 16


@dataclasses.dataclass(frozen=True)
class Role:
    """One process of a job.

    Attributes:
      name: how its lines and the log call it: ``worker 1``.
      environment: variables that it has beside those of this process.
      leads: whether its end is the end of the job, in success or failure.
      is_needed: whether the other roles cannot do without it: the job fails with it, and ends it last.
    """

    name: str
    environment: Mapping[str, str]
    leads: bool = False
    is_needed: bool = False


class RoleProcess:
    """A role's process: the leader of its own process group, with its outputs in pipes that never block.

    On Linux it is killed when this process ends, however that happens; so it must be started in the main thread, with
    which this process ends.

    Args:
      role: what it is.
      command: its program.
      stdout: gets the lines of its output.
      stderr: gets the lines of its errors.
      status: gets the lines that it reports of itself, see :mod:`deployment.task_status`.

    Raises:
      OSError: the command cannot be started.
    """

    def __init__(
        self, role: Role, command: Sequence[str], stdout: LineWriter, stderr: LineWriter, status: LineWriter
    ) -> None:
        self.role = role
        launcher = os.getpid()
        self._status, reports = os.pipe()
        os.set_blocking(reports, False)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, "PYTHONUNBUFFERED": "1", PIPE: describe_pipe(reports), **role.environment},
                pass_fds=[reports],
                start_new_session=True,
                preexec_fn=(lambda: _die_with(launcher)) if _LIBC else None,
            )
        except OSError:
            os.close(self._status)
            raise
        finally:
            os.close(reports)
        assert self._process.stdout and self._process.stderr
        self._writers = {
            self._process.stdout.fileno(): stdout,
            self._process.stderr.fileno(): stderr,
            self._status: status,
        }
        for pipe in self.pipes:
            os.set_blocking(pipe, False)

    @property
    def pid(self) -> int:
        """The process's number, and that of its group."""
        return self._process.pid

    @property
    def pipes(self) -> tuple[int, ...]:
        """The file descriptors that its output and its reports come from."""
        return tuple(self._writers)

    def poll(self) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it runs."""
        return self._process.poll()

    def pass_output_on(self, pipe: int) -> bool:
        """Write some of the lines that wait in ``pipe``; False when there is nothing to read."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return False
        self._writers[pipe].feed(data)
        return bool(data)

    def send(self, number: int) -> None:
        """Send a signal to the process and all that it started."""
        # The group is gone when its last process is; then there is nobody to tell.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def bury(self, wait_secs: float) -> int:
        """Kill what is left of its group, write its last lines and return its exit code.

        A process that even SIGKILL does not end within ``wait_secs`` (it hangs in the kernel) counts as killed.
        """
        self.send(signal.SIGKILL)
        try:
            code = self._process.wait(wait_secs)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        for pipe, writer in self._writers.items():
            for _ in range(_MOST_CHUNKS_LEFT):
                if not self.pass_output_on(pipe):
                    break
            writer.end()
        assert self._process.stdout and self._process.stderr
        self._process.stdout.close()
        self._process.stderr.close()
        os.close(self._status)
        return code


def _die_with(launcher: int) -> None:
    """In the new process, before its program starts: have Linux kill it when the launcher is gone."""
    assert _LIBC
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # gone already
        os._exit(1)
