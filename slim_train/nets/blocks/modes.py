"""Whether layers train, as ``factory.get_network_fn`` has set it around the builder of a net."""

from __future__ import annotations

from typing import Any

from slim_train.tf_compat import slim


def is_training(layer: Any) -> bool:
    """Whether ``layer``, ``slim.batch_norm`` or ``slim.dropout``, is in training mode in the current arg scope."""
    return slim.current_arg_scope()[slim.arg_scope_func_key(layer)]["is_training"]
