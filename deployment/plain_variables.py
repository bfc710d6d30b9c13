"""Variables that clones make with ``tf.Variable``, which knows nothing of reuse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow.compat.v1 as tf


class PlainVariables:
    """Makes the variables of ``tf.Variable`` in the first clone, and gives them to the others in the same order.

    Their names are those that they have without clones: they follow the name scope, which is the clone's.
    """

    def __init__(self) -> None:
        self._made: list[Any] = []

    @contextlib.contextmanager
    def of_clone(self, scope: str, is_first: bool) -> Iterator[None]:
        """Make or give variables in the block.

        Args:
          scope: the clone's name scope with a slash at its end; empty if there is only one clone.
          is_first: make them.
        """
        given = iter(self._made)

        def create(next_creator: Callable[..., Any], **kwargs: Any) -> Any:
            inside = f"{tf.get_default_graph().get_name_scope()}/"
            # tf.get_variable leaves all name scopes before it makes a variable.
            if not inside.startswith(scope):
                return next_creator(**kwargs)
            if not is_first and (made := next(given, None)) is not None:
                return made
            with tf.name_scope(inside.removeprefix(scope) or None):
                self._made.append(next_creator(**kwargs))
            return self._made[-1]

        with tf.variable_creator_scope(create) if scope else contextlib.nullcontext():
            yield
