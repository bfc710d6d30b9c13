"""The processes of one job, watched together: output, restarts, signals and the end. No TensorFlow.

One loop in the main thread does everything: as only it writes, lines stay whole, and no lock is needed.
"""

from __future__ import annotations

import logging
import math
import selectors
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import TextIO

from deployment.cluster_status import ClusterStatus, exit_in_words
from deployment.role_output import LineWriter, line_prefixes, write_to
from deployment.role_process import Role, RoleProcess
from deployment.signals import handled

_LOOK_EVERY_SECS = 0.1
_WAIT_FOR_KILLED_SECS = 5.0
_BAD_USAGE = 2
# What roles get for each signal that ends a job. At SIGTERM programs save their work, at SIGHUP few do. SIGPIPE says
# that nobody reads the output any more.
_PASSED_ON = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
    signal.SIGPIPE: signal.SIGTERM,
}

log = logging.getLogger(__name__)


class Supervisor:
    """Runs a command once per role, as one job.

    A role that fails is started again, up to ``max_restarts`` times each; not after exit code 2, bad usage, which would
    only come again. One that hangs, so that another one failed, is killed. When the role that leads has finished, the
    others have ``finish_secs`` to end by themselves before they get SIGTERM. A signal to this process is passed on to
    all; to roles that others need only when the others have ended, as a chief that saves a checkpoint reads it from the
    parameter servers. Those that are left after ``grace_secs``, or at a Ctrl-C that follows, are killed.

    Args:
      command: of every role.
      roles: exactly one of them leads.
      max_restarts: of each role.
      finish_secs: see above.
      grace_secs: see above.
      status: is kept up to date.
      views: called again and again, to show the status.
      write: called with stdout or stderr, and whole lines for it.
    """

    def __init__(
        self,
        command: Sequence[str],
        roles: Sequence[Role],
        *,
        max_restarts: int,
        finish_secs: float,
        grace_secs: float,
        status: ClusterStatus | None = None,
        views: Sequence[Callable[[], None]] = (),
        write: Callable[[TextIO, bytes], None] = write_to,
    ) -> None:
        assert sum(role.leads for role in roles) == 1, roles
        self._command, self._roles = command, roles
        self._max_restarts, self._finish_secs, self._grace_secs = max_restarts, finish_secs, grace_secs
        self._status = status or ClusterStatus({role.name: None for role in roles}, max_restarts)
        self._views, self._write = views, write
        self._prefixes = [line_prefixes([role.name for role in roles], stream) for stream in (sys.stdout, sys.stderr)]
        self._restarts: Counter[str] = Counter()
        self._running: list[RoleProcess] = []
        self._selector = selectors.DefaultSelector()
        self._signals: list[signal.Signals] = []
        self._exit_code: int | None = None
        self._terminate_at = self._kill_at = math.inf
        self._held_back: signal.Signals | None = None

    def run(self) -> int:
        """Run the job to its end and leave no process behind. For the main thread, which gets the signals.

        Returns the exit code of the role that leads, or of one that the job cannot go on without and that failed for
        good: 128 + the signal's number where a signal killed it.

        Raises:
          OSError: the command cannot be started.
        """
        with self._selector, handled(_not_ignored(), self._receive):
            try:
                for role in self._roles:
                    self._start(role)
                while self._running and time.monotonic() < self._kill_at:
                    self._pass_output_on()
                    self._obey_signals()
                    self._notice_ends()
                    self._mind_time()
                    self._stop_the_needed()
                    self._show()
            finally:
                for process in list(self._running):
                    code = self._bury(process)
                    self._status.ended(process.role.name, code, is_restarted=False, is_stopping=True)
                    self._settle(process.role, code)
                self._status.exit_code = self._job_exit_code()
                self._show()
        exit_code = self._job_exit_code()
        assert exit_code is not None
        return exit_code

    def _job_exit_code(self) -> int | None:
        if self._exit_code is None or self._exit_code >= 0:
            return self._exit_code
        return 128 - self._exit_code

    def _show(self) -> None:
        for view in self._views:
            view()

    def _start(self, role: Role) -> None:
        stdout, stderr = (
            LineWriter(partial(self._write, stream), prefixes[role.name])
            for stream, prefixes in zip((sys.stdout, sys.stderr), self._prefixes, strict=True)
        )
        reports = LineWriter(partial(self._status.reported, role.name))
        process = RoleProcess(role, self._command, stdout, stderr, reports)
        self._status.started(role.name, process.pid)
        self._running.append(process)
        for pipe in process.pipes:
            self._selector.register(pipe, selectors.EVENT_READ, process)
        log.info("%s: started, process %d.", role.name, process.pid)

    def _bury(self, process: RoleProcess) -> int:
        """End what is left of a role and return its exit code."""
        for pipe in process.pipes:
            if pipe in self._selector.get_map():
                self._selector.unregister(pipe)
        self._running.remove(process)
        return process.bury(_WAIT_FOR_KILLED_SECS)

    def _settle(self, role: Role, code: int) -> None:
        """The exit code of the role that leads is the job's, and the job's end begins."""
        if role.leads and self._exit_code is None:
            self._exit_code = code
            self._terminate_at = time.monotonic() + self._finish_secs

    def _pass_output_on(self) -> None:
        for key, _ in self._selector.select(_LOOK_EVERY_SECS):
            if not key.data.pass_output_on(key.fd):
                self._selector.unregister(key.fd)  # closed by the role, which may go on all the same

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(signal.Signals(number))

    def _obey_signals(self) -> None:
        if signal.SIGINT in self._signals[1:]:
            log.warning("Ctrl-C again: killing %s.", self._names())
            self._kill_at = -math.inf
        elif self._signals and not self._is_stopping:
            number = _PASSED_ON[self._signals[0]]
            log.warning("%s: passed on to %s; Ctrl-C kills.", self._signals[0].name, self._names())
            self._stop(number)

    @property
    def _is_stopping(self) -> bool:
        return self._kill_at < math.inf

    def _stop(self, number: signal.Signals) -> None:
        self._kill_at = time.monotonic() + self._grace_secs
        self._held_back = number
        for process in self._running:
            if not process.role.is_needed:
                process.send(number)

    def _stop_the_needed(self) -> None:
        if self._held_back and all(process.role.is_needed for process in self._running):
            for process in self._running:
                process.send(self._held_back)
            self._held_back = None

    def _notice_ends(self) -> None:
        for process in [process for process in self._running if process.poll() is not None]:
            self._ended(process.role, self._bury(process))

    def _ended(self, role: Role, code: int) -> None:
        # One that was killed, or used wrongly, says nothing about those that it got no answer from.
        if code > 0 and code != _BAD_USAGE:
            self._kill_hung(role)
        is_restarted = self._is_restarted(role, code)
        is_stopping = self._is_stopping or self._exit_code is not None
        self._status.ended(role.name, code, is_restarted=is_restarted, is_stopping=is_stopping)
        if code == 0:
            log.info("%s: finished.", role.name)
            self._settle(role, code)
        elif is_stopping:
            log.warning("%s: ended, %s.", role.name, exit_in_words(code))
            self._settle(role, code)
        elif is_restarted:
            self._restarts[role.name] += 1
            count = f"{self._restarts[role.name]} of {self._max_restarts}"
            log.warning("%s: failed, %s; restart %s.", role.name, exit_in_words(code), count)
            self._start(role)
        elif role.leads or role.is_needed:
            log.error("%s: failed, %s; the job cannot go on.", role.name, exit_in_words(code))
            self._exit_code = code
            self._stop(signal.SIGTERM)
        else:
            log.error("%s: failed, %s; the job goes on without it.", role.name, exit_in_words(code))

    def _kill_hung(self, role: Role) -> None:
        """Kill those that ``role`` could not go on without, because they do not answer: they would never end."""
        hung = self._status.hung(role.name)
        for process in self._running:
            if process.role.name in hung:
                log.warning("%s: does not answer %s: killed.", process.role.name, role.name)
                process.send(signal.SIGKILL)

    def _is_restarted(self, role: Role, code: int) -> bool:
        if code in (0, _BAD_USAGE) or self._is_stopping or self._exit_code is not None:
            return False
        return self._restarts[role.name] < self._max_restarts

    def _mind_time(self) -> None:
        now = time.monotonic()
        if not self._running:
            return
        if now > self._kill_at:
            log.error("%s: still there after %g s, killed.", self._names(), self._grace_secs)
        elif now > self._terminate_at and not self._is_stopping:
            log.warning("%s: still there %g s after the end, terminated.", self._names(), self._finish_secs)
            self._stop(signal.SIGTERM)

    def _names(self) -> str:
        return ", ".join(process.role.name for process in self._running)


def _not_ignored() -> list[signal.Signals]:
    """Return the signals that end a job, but for those that are ignored, as with nohup."""
    # Python itself ignores SIGPIPE.
    return [n for n in _PASSED_ON if n == signal.SIGPIPE or signal.getsignal(n) != signal.SIG_IGN]
