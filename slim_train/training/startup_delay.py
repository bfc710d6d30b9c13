"""When asynchronous workers join a fresh job: one after the other, once the chief has taken the first steps alone.

In the first steps gradients are large and momentum builds up. Two workers that take them together from the same
initial values push in the same direction with twice the momentum, and units die that never recover: LeNet on digits
stays at chance in 4 of 10 runs. TensorFlow's own sessions hide this, as their workers look for the chief's variables
every 30 seconds only; ``slim.learning.train`` has ``startup_delay_steps`` for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from deployment import servers, task_status
from slim_train.optim.schedule import Schedule

log = logging.getLogger(__name__)

# Of a training, the part in which not all workers take part yet.
_MOST_OF_TRAINING = 0.25
_POLL_SECS = 0.1


def joining_step(worker: int, delay_steps: int, schedule: Schedule) -> int:
    """Return the global step at which an asynchronous worker takes its first step.

    Args:
      worker: its number; 0 is the chief.
      delay_steps: steps between a worker and the next. In a short training there are fewer, so that the last worker
        joins within the first quarter.
      schedule: of the training. Synchronous replicas start together.
    """
    if not schedule.is_asynchronous:
        return 0
    if schedule.last_step is not None:
        delay_steps = min(delay_steps, int(schedule.last_step * _MOST_OF_TRAINING) // (schedule.num_replicas - 1))
    return worker * delay_steps


def wait_for_step(
    first_step: int,
    read_step: Callable[[], int | None],
    limit_secs: float = 0,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until the job has reached ``first_step``, saying so once.

    Args:
      first_step: the global step to wait for.
      read_step: returns the global step, or None if the job has ended.
      limit_secs: how long the job may stand still; 0 means forever.
      is_interrupted: asked between two looks.

    Raises:
      LostTaskError: the job stood still for ``limit_secs``.
      Interrupted: ``is_interrupted`` said so.
    """
    step = read_step()
    if step is None or step >= first_step:
        return
    log.info("The job is at step %d; this worker joins at step %d (--startup_delay_steps).", step, first_step)
    moved = time.monotonic()
    with task_status.during("waiting", [f"step {first_step}"]):
        while step is not None and step < first_step:
            if is_interrupted():
                raise servers.Interrupted
            if limit_secs and time.monotonic() - moved > limit_secs:
                raise servers.LostTaskError(
                    f"waited {limit_secs:g} s without success for the chief to continue from step {step}: this worker "
                    f"joins at step {first_step} (--startup_delay_steps)"
                )
            time.sleep(_POLL_SECS)
            last, step = step, read_step()
            if step != last:
                moved = time.monotonic()
