"""Learning rates that differ between the parts of a net: a multiplier for each scope."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deployment import partitions
from slim_train.checkpoints import scopes
from slim_train.errors import UsageError
from slim_train.tf_compat import tf

_FLAG = "learning_rate_multipliers"


def parse_multipliers(text: str | None, head_scopes: Sequence[str] = ()) -> dict[str, float]:
    """``Scope:0.1,Other:0`` as multipliers by scope; none for None.

    Args:
      head_scopes: what the scope ``auto`` stands for: those of the net's classification head.

    Raises:
      UsageError: an entry has another form, or a scope has two multipliers.
    """
    multipliers: dict[str, float] = {}
    for entry in scopes.split_scopes(text):
        scope, _, number = (part.strip() for part in entry.rpartition(":"))
        try:
            multiplier = float(number)
        except ValueError:
            multiplier = math.nan
        if not scope or not 0.0 <= multiplier < math.inf:
            raise UsageError(f"--{_FLAG}: {entry!r} must be a scope and its multiplier, such as InceptionV3/Logits:10.")
        for named in head_scopes if scope == "auto" and head_scopes else (scope.rstrip("/"),):
            if multipliers.setdefault(named, multiplier) != multiplier:
                raise UsageError(f"--{_FLAG}: the scope {named!r} has two multipliers.")
    return multipliers


def multiplier_of_each(variables: Iterable[Any], multipliers: Mapping[str, float]) -> dict[str, float]:
    """Return the multiplier of each variable by the name of its op: that of the innermost scope it lies in, else 1.

    Raises:
      UsageError: no variable lies in a scope.
    """
    variables = list(variables)
    scopes.select(partitions.by_stored_name(variables), list(multipliers), _FLAG)

    def of(name: str) -> float:
        inside = [scope for scope in multipliers if scopes.in_scope(name, scope)]
        return multipliers[max(inside, key=len)] if inside else 1.0

    return {variable.op.name: of(partitions.stored_name(variable)) for variable in variables}


class MultipliedRates(tf.train.Optimizer):
    """One optimizer for all variables, whose learning rate is multiplied by a number of each variable's own.

    Multiplying gradients instead would change nothing where an optimizer divides by their size, as Adam and RMSProp do.

    Args:
      make_optimizer: multiplier -> optimizer with the learning rate multiplied by it.
      multipliers: by the names of the variables' ops.

    Raises:
      UsageError: ``make_optimizer`` returns the same optimizer for several rates.
    """

    def __init__(self, make_optimizer: Callable[[float], Any], multipliers: Mapping[str, float]) -> None:
        super().__init__(use_locking=False, name="MultipliedRates")
        self._multipliers = multipliers
        # 1 comes first: the optimizer's own variables, such as Adam's powers, have their plain names there.
        distinct = sorted(set(multipliers.values()), key=lambda multiplier: (multiplier != 1.0, multiplier))
        self._optimizers = {multiplier: make_optimizer(multiplier) for multiplier in distinct}
        if len({id(optimizer) for optimizer in self._optimizers.values()}) < len(distinct):
            raise UsageError(
                f"--{_FLAG} needs an optimizer that is made new for each rate: this one is the same object."
            )

    def apply_gradients(
        self, grads_and_vars: Sequence[tuple[Any, Any]], global_step: Any = None, name: str | None = None
    ) -> Any:
        """Return the op that updates every variable at its own rate, and then the global step."""
        groups: dict[float, list[tuple[Any, Any]]] = {multiplier: [] for multiplier in self._optimizers}
        for gradient, variable in grads_and_vars:
            groups[self._multipliers[variable.op.name]].append((gradient, variable))
        updates = [self._optimizers[multiplier].apply_gradients(group) for multiplier, group in groups.items() if group]
        if global_step is None:
            return tf.group(*updates, name=name)
        with tf.control_dependencies(updates), tf.device(global_step.device):
            return global_step.assign_add(1, name=name, read_value=False)

    def variables(self) -> list[Any]:
        """Slots and the like of all rates."""
        return [variable for optimizer in self._optimizers.values() for variable in optimizer.variables()]
