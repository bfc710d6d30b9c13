"""A user's file and the files beside it, imported as modules that belong to one loader alone.

They import each other by name, as scripts in one folder do, and may be called as those of another model. So the folder
becomes a package under a name that nothing else has, and ``import helper`` in its files is an import from that package.
They were written for TensorFlow 1 and research/slim: ``import tensorflow`` gives TensorFlow 1's interface, and
``from nets import resnet_utils`` works, see :mod:`slim_train.user_code.old_packages`.
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

from slim_train.user_code import old_packages

_PREFIX = "_slim_train_user_"
_ONLY = "_only"
_numbers = itertools.count(1)


class UserFiles:
    """The folder of a user's file as a package; what is imported is read again for each object of this class.

    Args:
      folder: with the user's file.
      only: the one module or package of the folder that is the user's, for folders with others; None for all.
    """

    def __init__(self, folder: Path, only: str | None = None) -> None:
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
        importlib.invalidate_caches()
        package = types.ModuleType(f"{_PREFIX}{next(_numbers)}")
        package.__path__ = [str(folder)]
        package.__dict__[_ONLY] = only
        sys.modules[package.__name__] = package
        self._package = package.__name__

    def load(self, name: str) -> types.ModuleType:
        """Return the module ``name`` of the folder."""
        return importlib.import_module(f"{self._package}.{name}")

    def loaded(self) -> list[Path]:
        """Return the files that were imported until now, sorted."""
        modules = [sys.modules[name] for name in [*sys.modules] if name.startswith(f"{self._package}.")]
        return sorted(Path(file) for module in modules if (file := getattr(module, "__file__", None)))

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
    first = name.partition(".")[0]
    if level:
        return builtins.__import__(name, globals, locals, fromlist, level)
    if first != "tensorflow" and _is_neighbour(package, first):
        module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist)
        # Of ``import a.b`` it is a that is bound.
        return module if fromlist else sys.modules[f"{package}.{first}"]
    old = old_packages.find(name, bool(fromlist), functools.partial(_neighbour, package), package)
    if old is None:
        return builtins.__import__(name, globals, locals, fromlist, level)
    for wanted in fromlist or ():
        try:
            getattr(old, wanted)
        except AttributeError as error:
            # Python's own sentence would not say why.
            raise ImportError(str(error)) from error
    return old


def _neighbour(package: str, name: str) -> types.ModuleType | None:
    """Return the module ``name`` of the package, or None if there is no such file."""
    only = vars(sys.modules[package]).get(_ONLY)
    if only is not None and name.partition(".")[0] != only:
        return None
    try:
        found = importlib.util.find_spec(f"{package}.{name}")
    except ModuleNotFoundError:
        return None
    return importlib.import_module(f"{package}.{name}") if found and found.has_location else None


def _is_neighbour(package: str, name: str) -> bool:
    """Return whether a file or folder of the package goes before a library of that name."""
    # The SDK, should it lie beside the file, is for its own server. Of slim-train there must not be two.
    if name in ("uai", "slim_train"):
        return False
    only = vars(sys.modules[package]).get(_ONLY)
    if only is not None:
        return name == only
    spec = importlib.util.find_spec(f"{package}.{name}")
    if spec is None:
        return False
    # A folder without __init__.py may be anything, weights of that library among them.
    is_library = name in old_packages.RESEARCH_SLIM or importlib.util.find_spec(name) is not None
    return spec.has_location or not is_library
