"""Keyword arguments that are flags: their checks, and the signatures and docstrings that list them. No TensorFlow."""

from __future__ import annotations

import contextlib
import inspect
import os
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from slim_train import config, recipes
from slim_train.errors import UsageError

OptionsT = TypeVar("OptionsT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

# A path as users give it.
PathLike = str | os.PathLike[str]


def options_from(
    defaults: OptionsT,
    verb: str,
    given: Mapping[str, Any],
    positional: Mapping[str, Any],
    config_file: PathLike | None = None,
    required: Collection[str] = (),
) -> OptionsT:
    """Return the options that keyword arguments ask for.

    Args:
      defaults: options whose fields are the flags.
      verb: name of the function, for error messages.
      given: keyword arguments: flags or their aliases.
      positional: flags that the function has as arguments; None means not given.
      config_file: YAML file of flags, or the name of a recipe; arguments override it.
      required: flags that must be given.

    Raises:
      UsageError: a keyword is unknown, a value is wrong, or a required flag is missing.
    """
    arguments = {name: _plain(value) for name, value in {**positional, **given}.items()}
    arguments = {name: value for name, value in arguments.items() if not (name in positional and value is None)}
    file = recipes.config_path(config_file) if config_file is not None else None
    values = config.read_yaml(file, defaults) if file else {}
    checked = config.checked_values(arguments, defaults, f"{verb}():", "keyword argument")
    if file:
        config.refuse_code_of_training_folder(file, values, defaults, checked)
    values |= checked
    for name in required:
        if values.get(name) in (None, ""):
            raise UsageError(f"{verb}(): {name} is missing.")
    return config.with_values(defaults, values)


def takes_flags(defaults: Any, command: str, without: Collection[str] = ()) -> Callable[[FunctionT], FunctionT]:
    """Show the flags of ``defaults`` as keywords of a function that takes ``**flags``, in its signature and docstring.

    Args:
      defaults: options whose fields are the flags, their values the defaults.
      command: the command that has the same flags.
      without: flags that the function does not take.
    """

    def decorate(function: FunctionT) -> FunctionT:
        own = inspect.signature(function)
        named = [entry for entry in own.parameters.values() if entry.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {entry.name for entry in named} | set(without)
        specs = [spec for spec in config.flag_specs(defaults) if spec.name not in taken]
        shown = own.replace(parameters=[*named, *map(_parameter, specs)])
        function.__signature__ = shown  # type: ignore[attr-defined]
        function.__doc__ = f"{inspect.getdoc(function)}\n\n{_documentation(specs, command)}"
        return function

    return decorate


@contextlib.contextmanager
def one_usage_error() -> Iterator[None]:
    """Raise errors of the data and cluster packages, which know nothing of slim-train, as UsageError."""
    from datasets.errors import DataError
    from deployment.cluster import ClusterError

    try:
        yield
    except (DataError, ClusterError) as error:
        raise UsageError(str(error)) from error


def _plain(value: Any) -> Any:
    """Return what YAML would hold: a path as text, a sequence as a list, a NumPy scalar as a number."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _parameter(spec: config.FlagSpec) -> inspect.Parameter:
    annotation = f"{spec.type.__name__}{' | None' if spec.optional else ''}"
    return inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=spec.default, annotation=annotation)


def _documentation(specs: list[config.FlagSpec], command: str) -> str:
    lines = [f"Flags of {command}:"]
    for spec in specs:
        choices = f" One of {', '.join(map(str, spec.info.choices))}." if spec.info.choices else ""
        also = f" Also {', '.join(spec.info.aliases)}." if spec.info.aliases else ""
        text = f"{spec.name}: {spec.info.help}{choices}{also}"
        lines += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)
