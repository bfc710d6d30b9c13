"""Options: frozen dataclasses whose fields are the flags of the commands and the keys of their YAML files.

A field made by :func:`option` is declared once, with its default, its help and its bounds; the command line,
``--config`` files and ``config.yaml`` in training folders all read and write that one declaration. No TensorFlow here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
import os
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from slim_train.errors import UsageError, nearest

T = TypeVar("T")

# Training folders, and copies of a part of them, hold some of these beside their config.yaml.
_OF_TRAINING_FOLDERS = ("checkpoint", "*.index", "model.ckpt*", "model_code", "best", "result.json", "metrics.jsonl")

_TYPE_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """What :func:`option` stores beside a field: its help, other names and the values it takes.

    Attributes:
      saved: whether training folders keep the value.
      runs_code: whether the value names code that runs. The user must name it, not a training folder.
      is_address: whether the value may be a URL that is no file: the address of a server, or a handle.
      takes_urls: whether the value may be the URL of a file or folder that TensorFlow serves, such as gs://.
    """

    help: str
    aliases: tuple[str, ...] = ()
    choices: tuple[Any, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    saved: bool = True
    runs_code: bool = False
    is_address: bool = False
    takes_urls: bool = False

    def fault(self, value: Any) -> str | None:
        """Return what is wrong with ``value``, as the end of a sentence, or None."""
        if value is None:
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return "must be a finite number."
        if self.choices and value not in self.choices:
            near = nearest(str(value), map(str, self.choices), count=1)
            end = f"; did you mean {near[0]}?" if near else "."
            return f"must be one of {', '.join(map(str, self.choices))}{end}"
        if self.at_least is not None and not value >= self.at_least:
            return f"must be at least {self.at_least:g}."
        if self.above is not None and not value > self.above:
            return f"must be above {self.above:g}."
        if self.at_most is not None and not value <= self.at_most:
            return f"must be at most {self.at_most:g}."
        return _storage().fault_of_list(value, self.takes_urls) if self.may_be_url(value) else None

    def may_be_url(self, value: Any) -> bool:
        """Return whether ``value`` has to be looked at as a path or a URL of a file."""
        return isinstance(value, str) and "://" in value and not self.is_address


def _storage() -> types.ModuleType:
    """Return the module that knows paths and URLs, imported late: commands check first that the package is ours."""
    return importlib.import_module("datasets.storage")


def _shown(value: Any) -> Any:
    return _storage().shown(value) if isinstance(value, str) and "://" in value else value


def _path_of(path: str | os.PathLike[str]) -> Path:
    return _storage().path_of(path)


def option(default: Any, help: str, **info: Any) -> Any:
    """Return a dataclass field that is also a flag. ``info`` holds the other fields of :class:`OptionInfo`."""
    return dataclasses.field(default=default, metadata={"option": OptionInfo(help, **info)})


@dataclasses.dataclass(frozen=True)
class FlagSpec:
    """One flag of an options class: where its value belongs and what it may be."""

    name: str
    type: type
    optional: bool
    default: Any
    info: OptionInfo
    group: str


class Options:
    """Base of options dataclasses: checks every field against its declaration when made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            info = field.metadata.get("option")
            if info is None:
                continue
            value = getattr(self, field.name)
            fault = info.fault(value)
            if fault:
                raise UsageError(f"--{field.name}={_shown(value)} {fault}")
            if info.may_be_url(value):
                object.__setattr__(self, field.name, _storage().local_list(value))


def flag_specs(options: Any, group: str = "") -> Iterator[FlagSpec]:
    """Every flag of an options instance, depth first; nested options are the groups that ``--help`` shows."""
    group = group or _first_line(type(options))
    hints = typing.get_type_hints(type(options))
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            yield from flag_specs(value, _first_line(type(value)))
            continue
        value_type, optional = _plain_type(hints[field.name])
        yield FlagSpec(field.name, value_type, optional, value, field.metadata["option"], group)


def with_values(options: T, values: Mapping[str, Any]) -> T:
    """A copy of ``options`` with the named fields, at any depth, replaced; names must be canonical flag names."""
    replacements: dict[str, Any] = {}
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            replacements[field.name] = with_values(value, values)
        elif field.name in values:
            replacements[field.name] = values[field.name]
    return dataclasses.replace(options, **replacements)  # type: ignore[type-var]


def read_yaml(path: str | os.PathLike[str], options: Any) -> dict[str, Any]:
    """Return the values of a YAML file whose keys are flags of ``options``, under their canonical names.

    Raises:
      UsageError: the file cannot be read, is not a mapping, or holds an unknown key or a value of the wrong type; the
        message names the file, the key and the closest valid key.
    """
    if "://" in str(path) and (fault := _storage().fault_of(str(path), takes_urls=True)):
        raise UsageError(f"--config={_shown(str(path))} {fault}")
    try:
        content = yaml.safe_load(_path_of(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read the configuration file {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold 'flag: value' lines, not {type(content).__name__}.")
    return checked_values(content, options, f"{path}:", "key")


def refuse_code_of_training_folder(
    path: str | os.PathLike[str], values: Mapping[str, Any], options: Any, given: Collection[str]
) -> None:
    """Check that the config.yaml of a training folder, which may come from anybody, names no code to run.

    Args:
      path: of the YAML file.
      values: what it holds.
      options: whose flags they are.
      given: flags that the user gave beside the file; these go before it.

    Raises:
      UsageError: it does.
    """
    if not any(any(_path_of(path).parent.glob(pattern)) for pattern in _OF_TRAINING_FOLDERS):
        return
    for spec in flag_specs(options):
        if spec.info.runs_code and values.get(spec.name) and spec.name not in given:
            raise UsageError(
                f"{path} lies in a training folder and names code to run. If you trust it, also give "
                f"--{spec.name}={values[spec.name]}."
            )


def checked_values(given: Mapping[Any, Any], options: Any, where: str, kind: str) -> dict[str, Any]:
    """Return values for flags of ``options`` under their canonical names, each checked against its flag.

    Args:
      given: values by name of a flag, or by one of its aliases.
      where: the start of error messages.
      kind: what the names are, in error messages, such as ``key``.

    Raises:
      UsageError: a name is unknown, two names mean the same flag, or a value has the wrong type or is out of bounds.
    """
    specs = {name: spec for spec in flag_specs(options) for name in (spec.name, *spec.info.aliases)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in specs:
            near = nearest(str(name), specs, count=1)
            guess = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"{where} unknown {kind} {name!r}.{guess}")
        spec = specs[name]
        if spec.name in values:
            raise UsageError(f"{where} {name!r} gives {spec.name} a second value; keep one of them.")
        values[spec.name] = _typed(value, spec, f"{where} {name}")
    return values


def write_yaml(path: str | os.PathLike[str], options: Any) -> None:
    """Write the options as YAML, atomically, one flag a line, so that ``--config`` gives the same options again."""
    from datasets.files import replacing  # not at the top: commands check first that this package is ours

    values = {spec.name: spec.default for spec in flag_specs(options) if spec.info.saved}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    with replacing(_path_of(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _typed(value: Any, spec: FlagSpec, where: str) -> Any:
    if value is None and spec.optional:
        return None
    if spec.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if spec.type is float and isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text: it wants 1.0e-4. People write 1e-4.
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) and str(value).lower() in spec.info.choices:
        # YAML reads an unquoted true as a boolean; the flag takes the word.
        value = str(value).lower()
    if spec.type is str and isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    if type(value) is not spec.type:
        raise UsageError(f"{where} must be {_TYPE_WORDS[spec.type]}, got {value!r}.")
    fault = spec.info.fault(value)
    if fault:
        raise UsageError(f"{where}: {_shown(value)!r} {fault}")
    return value


def _plain_type(hint: Any) -> tuple[type, bool]:
    """``int | None`` -> (int, True); ``int`` -> (int, False)."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (plain,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        return plain, True
    return hint, False


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]
