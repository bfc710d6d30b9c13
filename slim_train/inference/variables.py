"""The variables of a net, restored from any of its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slim_train.checkpoints import copies
from slim_train.checkpoints.contents import AVERAGE
from slim_train.errors import RunError
from slim_train.model.spec import ModelSpec
from slim_train.tf_compat import slim, tf
from slim_train.zoo.identify import is_auxiliary


class VariableRestorer:
    """Restores the model variables of the graph in which it is made, again and again.

    Args:
      spec: the net, for errors.
      use_averages: True takes moving averages of the variables, False the variables, None the averages that a
        checkpoint holds.
    """

    def __init__(self, spec: ModelSpec, use_averages: bool | None = None) -> None:
        self._spec, self._use_averages = spec, use_averages
        self._variables = {variable.op.name: variable for variable in slim.get_model_variables()}
        # A saver adds ops to the graph; checkpoints of one training need the same.
        self._savers: dict[frozenset[str], Any] = {}

    def restore(self, session: Any, checkpoint: str) -> None:
        """Give the variables the values of ``checkpoint``, a prefix.

        Raises:
          RunError: the checkpoint does not fit the net.
        """
        stored = copies.shapes(checkpoint)
        restored = {
            name: variable
            for name, variable in self._names(stored).items()
            # The answers do not need auxiliary heads, and files of other frameworks do not have them.
            if name in stored or not is_auxiliary(name)
        }
        for name, variable in restored.items():
            if list(stored.get(name, ())) != variable.shape.as_list():
                held = f"has shape {list(stored[name])} there" if name in stored else "is not in it"
                raise RunError(
                    f"{checkpoint} does not fit {self._spec.name} with {self._spec.num_classes} classes: {name} "
                    f"{held}. Check --model_name, --num_classes, --labels_offset and --moving_average_decay."
                )
        key = frozenset(restored)
        # Outside of its graph a Saver would take itself to be eager.
        with session.graph.as_default():
            if key not in self._savers:
                self._savers[key] = tf.train.Saver(restored)
            with copies.opened(checkpoint) as here:
                self._savers[key].restore(session, here)

    def _names(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names in the checkpoint, and the variables that take their values."""
        averages = {f"{name}/{AVERAGE}": variable for name, variable in self._variables.items()}
        if self._use_averages:
            return averages
        found = {} if self._use_averages is False else {name: averages[name] for name in averages if name in stored}
        return found | {name: var for name, var in self._variables.items() if f"{name}/{AVERAGE}" not in found}
