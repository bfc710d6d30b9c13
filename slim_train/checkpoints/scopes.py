"""Selecting variables by scope: the one rule for restoring, training and freezing.

A scope is a prefix of a variable's name that ends at a ``/`` boundary: ``resnet_v2_101/logits`` takes
``resnet_v2_101/logits/weights`` and not ``resnet_v2_101/logits2/weights``. (research/slim matched bare prefixes when it
trained and when it restored, by two different functions.) No TensorFlow here: names in, names out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slim_train.errors import UsageError, nearest


def split_scopes(scopes: str | None, head_scopes: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the scopes of a comma-separated flag, blanks and trailing slashes dropped; none for None.

    Args:
      head_scopes: what ``auto`` among them stands for: the scopes of the net's classification head.
    """
    given = [scope.strip().rstrip("/") for scope in (scopes or "").split(",") if scope.strip(" /")]
    return tuple(name for scope in given for name in (head_scopes if scope == "auto" and head_scopes else [scope]))


def in_scope(name: str, scope: str) -> bool:
    """Return whether the variable ``name`` is the scope itself or lies below it."""
    return name == scope or name.startswith(scope + "/")


def auxiliary_scope(name: str) -> str | None:
    """Return the scope of the auxiliary head that the variable ``name`` is of, as nets call theirs; None if of none."""
    parts = name.split("/")
    depth = next((number for number, part in enumerate(parts, 1) if part.lower().startswith("aux")), None)
    return "/".join(parts[:depth]) if depth else None


def select(names: Iterable[str], scopes: Sequence[str], flag: str) -> list[str]:
    """Return the names that lie in any of ``scopes``, each once, in their own order.

    Raises:
      UsageError: a scope matches none of the names; the message names ``flag``, the scope and the nearest scopes.
    """
    names = list(names)
    for scope in scopes:
        if not any(in_scope(name, scope) for name in names):
            raise UsageError(f"--{flag}: no variable lies in scope {scope!r}. {_near_scopes(scope, names)}")
    return [name for name in names if any(in_scope(name, scope) for scope in scopes)]


def top_scopes(names: Iterable[str], depth: int = 2) -> list[str]:
    """Return the distinct scopes of ``names`` down to ``depth`` parts, in order of first appearance."""
    seen: dict[str, None] = {}
    for name in names:
        seen["/".join(name.split("/")[:-1][:depth])] = None
    return [scope for scope in seen if scope]


def _near_scopes(scope: str, names: Sequence[str]) -> str:
    every_scope = {name.rsplit("/", count)[0] for name in names for count in range(1, name.count("/") + 1)}
    near = nearest(scope, sorted(every_scope))
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Scopes there are: {', '.join(top_scopes(names)[:20])}."
