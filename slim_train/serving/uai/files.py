"""A user's file and the files beside it, imported as modules that belong to one model alone.

They import each other by name, as scripts in one folder do, and may be called as those of another model. So the folder
becomes a package under a name that nothing else has, and ``import helper`` in its files is an import from that package.
In them ``import tensorflow`` gives TensorFlow 1's interface.
"""

from __future__ import annotations

import builtins
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slim_train.tf_compat import tf

_PREFIX = "_uai_model_"
_numbers = itertools.count(1)


class UserFiles:
    """The folder of a user's file as a package; what is imported is read again for each object of this class.

    Args:
      folder: with the user's file.
    """

    def __init__(self, folder: Path) -> None:
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
        importlib.invalidate_caches()
        package = types.ModuleType(f"{_PREFIX}{next(_numbers)}")
        package.__path__ = [str(folder)]
        sys.modules[package.__name__] = package
        self._package = package.__name__

    def load(self, name: str) -> types.ModuleType:
        """Return the module ``name`` of the folder."""
        return importlib.import_module(f"{self._package}.{name}")

    def close(self) -> None:
        """Forget all modules; nothing of theirs runs any more."""
        for name in [*sys.modules]:
            if name.partition(".")[0] == self._package:
                del sys.modules[name]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of all those packages, and has :class:`_UserFile` run them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(_PREFIX):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _UserFile(name, spec.loader.path)
        return spec


_FINDER = _Finder()


class _UserFile(importlib.machinery.SourceFileLoader):
    """Runs a file with an ``import`` of its own, for all that the file ever imports."""

    def get_code(self, name: str) -> types.CodeType:
        """Return the code as it is in the file: __pycache__ would miss a change within a second."""
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run it."""
        package = module.__name__.partition(".")[0]
        own_import = functools.partial(_import, package)
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": own_import}
        super().exec_module(module)


def _import(
    package: str, name: str, globals: Any = None, locals: Any = None, fromlist: Sequence[str] = (), level: int = 0
) -> Any:
    """Return what ``__import__`` does, for a file in ``package``."""
    if name == "tensorflow" and not level:
        return tf
    first = name.partition(".")[0]
    if level or not _is_neighbour(package, first):
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist)
    # Of ``import a.b`` it is a that is bound.
    return module if fromlist else sys.modules[f"{package}.{first}"]


def _is_neighbour(package: str, name: str) -> bool:
    """Return whether a file or folder of the package goes before a library of that name."""
    if name == "uai":  # The SDK, should it lie beside the file, is for its own server.
        return False
    spec = importlib.util.find_spec(f"{package}.{name}")
    # A folder without __init__.py may be anything, weights of that library among them.
    return spec is not None and (spec.has_location or importlib.util.find_spec(name) is None)
