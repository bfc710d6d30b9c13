"""Training sessions: how the chief prepares a job's variables, how workers join, and how all of them stop together.

Without parameter servers a session belongs to one process, which is its own chief. With them the variables outlive
sessions, and a mark on the first server, the :class:`JobPhase`, says what they are worth: while the chief restores or
initializes them, nobody else may use them; when it has ended, everybody leaves. TensorFlow's own sessions have no such
mark, so their workers may start on values that are not all there yet, and learn of an early end from nobody.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from deployment import servers
from deployment.cluster import ClusterConfig
from deployment.devices import DeploymentConfig
from deployment.peers import Peers
from deployment.task_watch import TaskWatch
from slim_train.checkpoints.find import repair_state
from slim_train.tf_compat import tf
from slim_train.training.job_phase import ENDED, JobPhase
from slim_train.training.startup_delay import wait_for_step

log = logging.getLogger(__name__)

# What a lost parameter server makes of a call; afterwards a new session is due.
CONNECTION_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.UnavailableError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnknownError,
)
_ANSWER_SECS = 5.0
# After the last step, threads that wait for other tasks need not be waited for: the session is about to close.
STOP_GRACE_SECS = 2


def checkpoint_device(deployment: DeploymentConfig) -> Callable[[Any], str]:
    """Device function for building savers: this task reads and writes the files.

    By themselves savers restore each variable on its own device, and parameter servers would need the training folder.
    """

    def place(op: Any) -> str:
        return deployment.inputs_device() if op.type in ("SaveV2", "RestoreV2", "MergeV2Checkpoints") else op.device

    return place


class SessionCreator(tf.train.SessionCreator):
    """Makes the session of a task that trains, at first and again whenever a parameter server was lost.

    The chief restores the newest complete checkpoint of the training folder or runs the scaffold's initialization,
    unless the parameter servers hold the variables of a job that is under way: a chief that was lost and comes back
    joins that like a worker, and no step is lost or made twice. Workers wait for the chief.

    Args:
      cluster: who is waited for.
      scaffold: initialization, and the saver of all variables.
      train_dir: the training folder.
      config: session options.
      master: address of this task's server; "" for a session in this process.
      phase: the job's phase; None without parameter servers.
      wait_secs: how long to wait for other tasks; 0 waits forever.
      is_interrupted: asked while waiting, whether to give up; then create_session raises servers.Interrupted.
      check_lead: asked while waiting and before the variables are prepared; raises RunError if another chief has taken
        over.
      task_timeout_secs: silence after which a parameter server is lost, and calls to it are given up; 0: never.
      first_step: global step that a worker waits for before it joins, see :mod:`slim_train.training.startup_delay`.
    """

    def __init__(
        self,
        cluster: ClusterConfig,
        scaffold: Any,
        train_dir: Path,
        config: Any,
        master: str = "",
        phase: JobPhase | None = None,
        wait_secs: float = 0,
        is_interrupted: Callable[[], bool] = lambda: False,
        check_lead: Callable[[], None] = lambda: None,
        task_timeout_secs: float = 0,
        first_step: int = 0,
    ) -> None:
        self._first_step = first_step
        self._progress = [phase.value.read_value(), tf.train.get_global_step().read_value()] if phase else []
        self._cluster, self._scaffold, self._train_dir = cluster, scaffold, train_dir
        self._config, self._master, self._phase = config, master, phase
        self._wait_secs, self._is_interrupted = wait_secs, is_interrupted
        self._missing = phase.missing() if phase else None
        self._check_lead = check_lead
        self._sessions_made = 0
        self._servers = [task for task in cluster.tasks if task.job == "ps" and task.address] if phase else []
        self._server_watch = TaskWatch(self._servers, task_timeout_secs)
        self._peers = Peers({task.name: str(task.address) for task in self._servers})

    def create_session(self) -> Any:
        """Return a session whose variables are ready.

        Raises:
          servers.LostTaskError: other tasks did not come in time; the message names them.
          servers.Interrupted: see ``is_interrupted``.
        """
        self._scaffold.finalize()
        if self._phase is None:
            return self._prepare()
        if self._sessions_made:
            log.warning("Lost a parameter server, or the connection to it: going on when it is back.")
        self._wait(self._silent_servers)
        self._server_watch.reconnected()
        session = self._lead(self._phase) if self._cluster.role == "chief" else self._join_when_ready()
        self._sessions_made += 1
        return session

    def _lead(self, phase: JobPhase) -> Any:
        session = self._join_if_under_way()
        if session is not None:
            log.info("The job is under way on the parameter servers: joining it.")
            return session
        self._check_lead()
        with tf.Session(self._master, config=self._config) as preparing:
            preparing.run(phase.prepare)
        session = self._prepare()
        with _closed_on_error(session):
            self._check_lead()
            session.run(phase.train)
        return session

    def _join_if_under_way(self) -> Any:
        """Return a session on variables that are being trained; None if the servers said that they must be prepared.

        A connection that breaks says nothing of the variables. Taken for unprepared, those of a living job would be
        replaced by the last checkpoint.
        """
        found: list[Any] = []

        def missing() -> list[str]:
            try:
                found.append(self._join())
            except CONNECTION_ERRORS as error:
                log.debug("No answer: %s", error)
                return ["the parameter servers to answer"]
            return []

        self._wait(missing)
        return found[0]

    def coordinate(self, hooks: Sequence[Any]) -> list[Any]:
        """The hooks for the loop, from those that look at this task alone: the same, a task may stop by itself."""
        return list(hooks)

    def naming_losses(self) -> contextlib.AbstractContextManager[Any]:
        """Around the loop: notices lost tasks, and says which it is where that ends training.

        Here a new session is made instead, when the parameter server answers again.
        """
        return self._server_watch

    def _prepare(self, restores: bool = True) -> Any:
        """Return a session with initialized variables, or those of the newest checkpoint if there is one."""
        checkpoint = repair_state(self._train_dir) if restores else None
        if restores and self._sessions_made:
            log.info("Restoring %s.", checkpoint)
        manager = tf.train.SessionManager(
            local_init_op=self._scaffold.local_init_op,
            ready_op=self._scaffold.ready_op,
            ready_for_local_init_op=self._scaffold.ready_for_local_init_op,
        )
        return manager.prepare_session(
            self._master,
            saver=self._scaffold.saver,
            checkpoint_filename_with_path=checkpoint,
            config=self._config,
            init_op=self._scaffold.init_op,
            init_fn=self._scaffold.init_fn,
        )

    def _join_when_ready(self) -> Any:
        found: list[Any] = []

        def missing() -> list[str]:
            try:
                session = self._join()
            except CONNECTION_ERRORS as error:
                log.debug("No answer: %s", error)
                session = None
            if session is None:
                chief = next((task for task in self._cluster.training_tasks if task.number == 0), None)
                address = f" ({chief.address})" if chief and chief.address else ""
                return [f"{chief.name if chief else 'the chief'}{address} to prepare the variables"]
            found.append(session)
            return []

        self._wait(missing)
        session = found[0]
        if self._first_step:
            with _closed_on_error(session):
                wait_for_step(self._first_step, lambda: self._step(session), self._wait_secs, self._is_interrupted)
        return session

    def _step(self, session: Any) -> int | None:
        """Return the global step; None if the job has ended."""
        phase, step = session.run(self._progress)
        return None if phase == ENDED else int(step)

    def _join(self) -> Any:
        """Return a session on variables that are being trained, or None if they are not ready for that.

        Raises:
          AbortedError, UnavailableError, CancelledError, DeadlineExceededError, UnknownError: a server did not answer.
        """
        session = tf.Session(self._master, config=self._config)
        with _closed_on_error(session):
            missing = session.run(self._missing)
            if not missing.size:
                session.run(self._scaffold.local_init_op)
                return session
            log.debug("Not ready: %s", missing)
        session.close()
        return None

    def _silent_servers(self) -> list[str]:
        """Return the parameter servers that do not answer. A process that hangs accepts connections all the same."""
        return servers.unreachable(self._servers) or [
            self._peers.describe(name) for name, status in self._peers.statuses(_ANSWER_SECS).items() if status is None
        ]

    def _wait(self, missing: Callable[[], Sequence[str]]) -> None:
        def missing_to_the_chief() -> Sequence[str]:
            self._check_lead()
            return missing()

        servers.wait_until_none_missing(missing_to_the_chief, self._wait_secs, self._is_interrupted)


@contextlib.contextmanager
def _closed_on_error(session: Any) -> Iterator[None]:
    """Close ``session`` if the block raises: nobody else has it yet."""
    try:
        yield
    except BaseException:
        session.close()
        raise
