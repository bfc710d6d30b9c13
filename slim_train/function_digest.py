"""A digest of what a function does, for results that are kept as long as it does the same. No TensorFlow."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DEFINITIONS = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)


def function_digest(value: Any) -> str:
    """Return a hex digest of the code of a function, or of an object that can be called, and of what it uses.

    That is the functions and values of its module that it names, what it closes over, its defaults, and what these use
    in turn. Of other packages the version counts. An object that cannot be read has another digest in each process, so
    that nothing is taken for the same that may differ.
    """
    root = value
    while isinstance(root, functools.partial):
        root = root.func
    digest = hashlib.blake2b(digest_size=16)
    for part in _parts(value, _package(root), set()):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any, package: str, seen: set[int]) -> Iterator[bytes]:
    """Yield what makes ``value`` differ from others; the code of ``package`` is read, others count by their version."""
    yield type(value).__name__.encode()
    if isinstance(value, _PLAIN):
        yield repr(value).encode()
        return
    if isinstance(value, _DEFINITIONS) and (
        isinstance(value, types.ModuleType | types.BuiltinFunctionType)
        or (_package(value) != package and _version(_package(value)))
    ):
        yield _identity(value, package)
        return
    if not isinstance(value, dict | list | tuple | types.CodeType):  # these may be made here, and their ids used again
        if id(value) in seen:
            return
        seen.add(id(value))
    for part in _members(value):
        yield from _parts(part, package, seen)


def _members(value: Any) -> Iterator[Any]:
    """Yield the values that ``value`` consists of."""
    if isinstance(value, dict):
        yield from (part for item in value.items() for part in item)
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, set | frozenset):
        yield from sorted(value, key=repr)
    elif isinstance(value, types.CodeType):
        yield from (value.co_code, value.co_names, value.co_consts)
    elif isinstance(value, types.FunctionType):
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        yield from (cell.cell_contents for cell in value.__closure__ or ())
        named = sorted(set(_names(value.__code__)) & value.__globals__.keys())
        yield from ((name, value.__globals__[name]) for name in named)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, type):
        parts = {
            name: part for name, part in vars(value).items() if not name.startswith("__") or inspect.isroutine(part)
        }
        yield from (value.__qualname__, value.__bases__, parts)
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif hasattr(value, "__wrapped__"):  # of tf.function
        yield inspect.unwrap(value)
    elif hasattr(value, "tobytes") and hasattr(value, "dtype"):
        yield from (str(value.dtype), value.shape, value.tobytes())
    elif hasattr(value, "__dict__") and not _version(_package(value)):
        yield from (type(value), vars(value))
    else:
        yield repr(value)


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of globals, and of attributes, that code and the functions in it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _package(value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0]
    return (getattr(value, "__module__", None) or type(value).__module__).partition(".")[0]


def _version(package: str) -> str:
    """Return the version of a package, "" if it has none."""
    if package in sys.stdlib_module_names:
        return sys.version
    return str(getattr(sys.modules.get(package), "__version__", ""))


def _identity(value: Any, own: str) -> bytes:
    """Return the name of a definition with the version of its package.

    Of a module without version, or of the package ``own``, which is at work between versions, the source counts.
    """
    version, file = _version(_package(value)), getattr(value, "__file__", None)
    is_read = not version or (isinstance(value, types.ModuleType) and _package(value) == own)
    source = Path(file).read_bytes() if is_read and file and Path(file).is_file() else b""
    name = getattr(value, "__qualname__", value.__name__)
    return f"{getattr(value, '__module__', '')} {name} {version}".encode() + source
