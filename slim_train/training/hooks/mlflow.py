"""The scalars of TensorBoard, the hyper-parameters and the final figures on an MLflow server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slim_train.tf_compat import tf
from slim_train.training.mlflow_run import MlflowRun

_OF_EVALUATION = "eval_"


class MlflowHook(tf.train.SessionRunHook):
    """Follows a training from its first session to its end.

    Args:
      run: what sends.
      final: gives the final figures by name and their step.
      is_interrupted: whether a signal stopped the training.
    """

    def __init__(
        self, run: MlflowRun, final: Callable[[], tuple[int, Mapping[str, float]]], is_interrupted: Callable[[], bool]
    ) -> None:
        self._run, self._final, self._is_interrupted = run, final, is_interrupted
        self._has_begun = self._has_ended = False

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._has_begun = True
        self._run.start()

    def add_line(self, values: Mapping[str, float]) -> None:
        """Send a line of metrics.jsonl: ``step``, metrics of the training, and of evaluation if they begin so."""
        self._run.add(int(values["step"]), {_name(name): value for name, value in values.items() if name != "step"})

    def end(self, session: Any) -> None:
        self._has_ended = True

    def close(self) -> None:
        """Send the final figures and end the run; training calls it however it ends."""
        if not self._has_begun:
            return
        if self._has_ended:
            self._run.add(*self._final())
        stopped = "KILLED" if self._is_interrupted() else "FINISHED"
        self._run.close(stopped if self._has_ended else "FAILED")


def _name(name: str) -> str:
    """Return the name that TensorBoard shows."""
    if name.startswith(_OF_EVALUATION):
        return f"eval/{name.removeprefix(_OF_EVALUATION)}"
    return f"train/{name}"
