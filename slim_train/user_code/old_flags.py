"""``tf.app.flags`` and ``absl.flags`` in users' files: flags of their own, which have their defaults.

The flags of the process are those of slim-train's command, or of the program around it. Asked for others, absl would
read the command line and fail; and a file that is loaded twice would define its flags twice.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

from absl import flags

# Names of arguments that TensorFlow's functions had.
_OLD_NAMES = {"flag_name": "name", "default_value": "default", "docstring": "help"}


class _Values(flags.FlagValues):
    """Flags that nothing on the command line sets."""

    def __init__(self) -> None:
        super().__init__()
        self.mark_as_parsed()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(
                f"FLAGS.{name} is not defined in your files, and flags of slim-train do not reach them"
            ) from None


class _Flags(types.ModuleType):
    """absl.flags with values of its own."""

    def __init__(self) -> None:
        super().__init__("flags")
        self.FLAGS = _Values()

    def __getattr__(self, name: str) -> Any:
        found = getattr(flags, name)
        return functools.partial(_define, found, self.FLAGS) if name.startswith("DEFINE") else found


def _define(function: Callable[..., Any], values: _Values, *args: Any, **kwargs: Any) -> Any:
    renamed = {_OLD_NAMES.get(key, key): value for key, value in kwargs.items()}
    return function(*args, **{"flag_values": values, **renamed})


@functools.cache
def flags_of(package: str) -> types.ModuleType:
    """Return the module ``flags`` for the files of a package of :class:`slim_train.user_code.files.UserFiles`."""
    return _Flags()
