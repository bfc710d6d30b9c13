"""Things by name: slim-train's own, those that a program registers, and those that installed packages offer.

A package offers one with an entry point in the group of its registry, such as ``slim_train.losses``::

    [project.entry-points."slim_train.losses"]
    my_loss = "my_package.losses:my_loss"

It is imported when its name is first used. No TensorFlow here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from slim_train.errors import UsageError, unknown
from slim_train.user_functions import explain, origin_of, source_file

T = TypeVar("T")
BUILT_IN = "slim-train"


class Registry(Generic[T]):
    """Everything of one kind that can be named on the command line.

    Args:
      kind: what the names are of, in errors, such as ``net``.
      group: entry-point group of packages that offer more.
      built_in: slim-train's own.
      check: raises UsageError for a registered object that is none of this kind; takes the name and the object.
      listed_by: the command that lists all names, if there is one.

    Attributes:
      kind: the same.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, T],
        check: Callable[[str, Any], None] = lambda name, value: None,
        listed_by: str = "",
    ) -> None:
        self.kind = kind
        self._group, self._check, self._listed_by = group, check, listed_by
        self._built_in = built_in
        self._registered: dict[str, tuple[T, str]] = {}

    def register(self, name: str, value: T, origin: str) -> None:
        """Give ``value`` a name in this process. A second registration replaces the first.

        Args:
          name: what the command line takes.
          value: the object.
          origin: where it comes from, for listings and errors.

        Raises:
          UsageError: the name is one of slim-train's, or the object is of another kind.
        """
        if name in self._built_in:
            raise UsageError(f"The {self.kind} {name!r} exists in slim-train: register yours under another name.")
        self._check(name, value)
        self._registered[name] = value, origin

    def add(self, verb: str, name: str, value: Any = None, defined_by: Any = None) -> Any:
        """Register ``value`` with the file that it is defined in; without it, return a decorator that does.

        Args:
          verb: the public function that is called, for errors.
          name: what the command line takes.
          value: the object.
          defined_by: whose file is the origin; None: that of ``value``.

        Returns:
          ``value``, or the decorator.

        Raises:
          UsageError: as :meth:`register` does, or ``name`` is no text.
        """
        if not isinstance(name, str):
            raise UsageError(f"{verb} takes a name first, not {name!r}.")

        def register(value: Any) -> Any:
            self.register(name, value, origin_of(defined_by or value))
            return value

        return register if value is None else register(value)

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted. No package is imported for it."""
        return tuple(sorted({*self._built_in, *self._registered, *self._offered}))

    def __contains__(self, name: str) -> bool:
        """Whether there is something of that name. No package is imported for it."""
        return name in self._built_in or name in self._registered or name in self._offered

    def origin(self, name: str) -> str:
        """Return where ``name`` comes from: slim-train, a file or module, or a package with its version."""
        if name in self._built_in:
            return BUILT_IN
        value, origin = self._registered.get(name, (None, ""))
        entry_point = self._offered.get(name)
        # Code of a package may register itself, from its file, when it is imported.
        if entry_point is None or (origin and getattr(value, "__module__", None) != entry_point.module):
            return origin
        return f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist else entry_point.value

    def get(self, name: str) -> T:
        """Return what ``name`` stands for.

        Raises:
          UsageError: there is nothing of that name, or the package that offers it does not work.
        """
        if name in self._built_in:
            return self._built_in[name]
        if name in self._registered:
            return self._registered[name][0]
        if name not in self._offered:
            raise self.unknown(name)
        self._refuse_two_packages(name)
        origin = self.origin(name)
        try:
            value = self._offered[name].load()
        except Exception as error:
            raise UsageError(
                f"The {self.kind} {name!r} of {origin} cannot be imported: {type(error).__name__}: {error}."
            ) from error
        self.register(name, value, origin)
        return value

    @contextlib.contextmanager
    def calling(self, name: str) -> Iterator[None]:
        """Raise what the code of ``name`` raises in the block as UsageError that says whose code it is, and where."""
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            if name in self._built_in:
                raise
            file = source_file(self.get(name))
            where = explain(error, Path(file).parent if file else None)
            raise UsageError(f"The {self.kind} {name!r} ({self.origin(name)}) failed. {where}") from error

    def unknown(self, name: str, more: Iterable[str] = ()) -> UsageError:
        """Return the error for a name that does not exist. It lists names that are not slim-train's with origin.

        Args:
          name: the name.
          more: names beyond those of the registry that would have been valid.
        """
        others = [f"{other} ({self.origin(other)})" for other in self.names() if other not in self._built_in]
        error = unknown(self.kind, name, [*self.names(), *more], listed_by=self._listed_by)
        return UsageError(f"{error} Not from slim-train: {', '.join(others)}.") if others else error

    @functools.cached_property
    def _offered(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {entry_point.name: entry_point for entry_point in self._entry_points()}

    def _entry_points(self) -> list[importlib.metadata.EntryPoint]:
        found = importlib.metadata.entry_points(group=self._group)
        return [entry_point for entry_point in found if entry_point.name not in self._built_in]

    def _refuse_two_packages(self, name: str) -> None:
        values = {entry_point.value for entry_point in self._entry_points() if entry_point.name == name}
        if len(values) > 1:
            raise UsageError(
                f"Several packages offer the {self.kind} {name!r}, as {' and '.join(sorted(values))}: uninstall all "
                "but one."
            )
