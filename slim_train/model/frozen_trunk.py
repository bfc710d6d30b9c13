"""The part of a net that ``trainable_scopes`` leave as it is: everything below the lowest layer that is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployment.devices import is_variable_op
from slim_train.checkpoints import scopes


class FrozenTrunk:
    """Tells, while a net is built, whether a layer lies in its frozen trunk.

    It does where what enters the layer depends on no trained variable, and the layer has none itself. Such a layer
    gives the same features for an image in every epoch, provided that its batch norm runs on moving statistics; a layer
    above sees other features each step, whether it is trained or not.

    Args:
      trained_scopes: what is trained, see :mod:`slim_train.checkpoints.scopes`; the whole net if there are none.
    """

    def __init__(self, trained_scopes: Sequence[str]) -> None:
        self._trained_scopes = tuple(trained_scopes)
        self._ops: dict[Any, bool] = {}  # Whether an operation depends on trained variables, where that is known.

    def __call__(self, inputs: Any, scope: str) -> bool:
        """Whether the layer on the tensor ``inputs`` with variables in ``scope`` lies in the frozen trunk."""
        if not self._trained_scopes or self._is_trained(scope):
            return False
        return not self._depends_on_trained(inputs.op)

    def _is_trained(self, scope: str) -> bool:
        return any(
            scopes.in_scope(scope, trained) or scopes.in_scope(trained, scope) for trained in self._trained_scopes
        )

    def _depends_on_trained(self, start: Any) -> bool:
        visited = set()
        pending = [start]
        while pending:
            op = pending.pop()
            if op in visited:
                continue
            visited.add(op)
            known = self._ops.get(op)
            if known or (is_variable_op(op) and any(scopes.in_scope(op.name, scope) for scope in self._trained_scopes)):
                self._ops[start] = True
                return True
            if known is None:
                pending.extend(tensor.op for tensor in op.inputs)
        self._ops.update(dict.fromkeys(visited, False))
        return False
