"""Manifests from a template in YAML: placeholders filled in, and written so that nothing in them is read as YAML."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

import yaml


def fill(part: Any, values: Mapping[str, Any]) -> Any:
    """Return ``part`` of a parsed template with its ``${...}`` replaced; keys whose value is None are removed."""
    if isinstance(part, dict):
        filled = {key: fill(value, values) for key, value in part.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(part, list):
        return [fill(value, values) for value in part]
    if not isinstance(part, str) or "$" not in part:
        return part
    whole = re.fullmatch(r"\$\{(\w+)\}", part)
    return _given(values[whole[1]] if whole else string.Template(part).substitute(values))


def to_yaml(manifests: Iterable[Mapping[str, Any]]) -> str:
    """Return filled manifests as YAML, ready for ``kubectl apply``.

    Values take their places in the template after it has been parsed and are quoted when written: nothing in them is
    ever read as YAML.
    """
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=120)


class _Value(str):
    """Text that comes from the user."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


# Always in quotes: YAML 1.1 and 1.2, and their parsers, differ on which plain words are text (y, 1e3, 0o17).
_Dumper.add_representer(
    _Value, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
)


def _given(value: Any) -> Any:
    if isinstance(value, list):
        return [_Value(item) for item in value]
    return _Value(value) if isinstance(value, str) else value
