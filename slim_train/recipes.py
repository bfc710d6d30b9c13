"""Recipes: YAML files of flags that come with the package, from ``configs/``, and are found by their names."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from slim_train.errors import UsageError, unknown

_PACKAGE = Path(__file__).resolve().parent
# setup.py puts the recipes into the package; in a checkout they lie beside it.
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


@dataclass(frozen=True)
class Recipe:
    """A recipe that comes with the package.

    Attributes:
      name: the value for ``--config``.
      path: of the YAML file.
      summary: its first comment line.
      usage: its other comment lines: the commands, the expected result.
    """

    name: str
    path: Path
    summary: str
    usage: tuple[str, ...]


def recipe_names() -> list[str]:
    """Return the names of the recipes, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
      UsageError: there is none of this name.
    """
    if name not in recipe_names():
        raise unknown("recipe", name, recipe_names(), listed_by="slim_models --recipes")
    path = _folder() / f"{name}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("#").removeprefix(" ") for line in itertools.takewhile(_is_comment, lines)]
    return Recipe(name, path, head[0], tuple(head[1:]))


def config_path(value: str | os.PathLike[str]) -> Path:
    """Return the file that a ``--config`` stands for: a path, a URL, or the name of a recipe.

    A folder does not hide the recipe of its name.

    Raises:
      UsageError: it is neither, or a URL that cannot be reached.
    """
    from datasets.storage import (
        fault_of,
        is_url,
        path_of,
        shown,
    )  # not at the top: commands check first that it is ours

    text = os.fspath(value)
    if fault := fault_of(text, takes_urls=True):
        raise UsageError(f"--config={shown(text)} {fault}")
    path = path_of(text)
    if is_url(path):
        return path  # a look at it would cost a request, and reading tells as much
    if path.exists() and not (path.is_dir() and text in recipe_names()):
        return path
    if path.name != text or path.suffix:
        hint = f" --config={path.stem} is the recipe that comes with slim-train." if path.stem in recipe_names() else ""
        raise UsageError(f"Cannot read the configuration file {path}: it does not exist.{hint}")
    return read_recipe(text).path


def _folder() -> Path:
    return next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])


def _is_comment(line: str) -> bool:
    return line.startswith("#")
