"""Names of Keras layers that tell the variables of their weights, and stay with a model that is trained on in Keras.

A layer is called as the scope of its variables, with dots for slashes: ``MobilenetV1.Conv2d_0``. If the variables have
other names there than tf-slim gives them, those follow: ``cell_0.left>pointwise_weights``. No TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from slim_train.errors import UsageError

# The weights of a layer as Keras orders them, and what tf-slim calls them.
ROLES: dict[str, dict[str, str]] = {
    "Conv2D": {"kernel": "weights", "bias": "biases"},
    "DepthwiseConv2D": {"kernel": "depthwise_weights", "bias": "biases"},
    "Dense": {"kernel": "weights", "bias": "biases"},
    "BatchNormalization": {
        "gamma": "gamma",
        "beta": "beta",
        "moving_mean": "moving_mean",
        "moving_variance": "moving_variance",
    },
}
# In the place of the scope of variables that have none.
_NO_SCOPE = "."
_PART = re.compile(r"[A-Za-z0-9_\-]+")


def layer_name(kind: str, variables: Mapping[str, str]) -> str:
    """Return the name of a layer.

    Args:
      kind: its class.
      variables: by their role.

    Raises:
      UsageError: a name has characters that cannot be told apart then.
    """
    paths = {role: name.split("/") for role, name in variables.items()}
    for name in variables.values():
        if not all(_PART.fullmatch(part) for part in name.split("/")):
            raise UsageError(f"The variable {name} cannot be named in Keras: only letters, digits, _ and - can be.")
    depth = min(len(path) for path in paths.values()) - 1
    while len({tuple(path[:depth]) for path in paths.values()}) > 1:
        depth -= 1
    scope = ".".join(next(iter(paths.values()))[:depth])
    names = {role: ".".join(path[depth:]) for role, path in paths.items()}
    if scope and all(names[role] == ROLES[kind][role] for role in names):
        return scope
    return ">".join([scope or _NO_SCOPE, *(names[role] for role in ROLES[kind] if role in names)])


def variable_names(kind: str, name: str, roles: Sequence[str]) -> dict[str, str]:
    """Return the variables of a layer that :func:`layer_name` has named, by role.

    Args:
      kind: its class.
      name: its name.
      roles: those of its weights, in the order of Keras.
    """
    scope, *given = name.split(">")
    if len(given) != len(roles):
        given = [ROLES[kind][role] for role in roles]
    scope = "" if scope == _NO_SCOPE else f"{scope}."
    return {role: f"{scope}{last}".replace(".", "/") for role, last in zip(roles, given, strict=True)}
