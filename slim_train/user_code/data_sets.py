"""Data set modules in research/slim's convention: ``get_split`` and the constants beside it, by file or by name.

Of what ``get_split`` returns, the pattern of the files, the keys of image and label, the number of classes and their
names are taken. Records are counted, not believed to be as many as the module says.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasets.foreign import RecordsAsTold
from slim_train.errors import UsageError
from slim_train.registry import Registry
from slim_train.user_code.load import load_module
from slim_train.user_functions import explain, origin_of

_CONSTANTS = ("_FILE_PATTERN", "_NUM_CLASSES")


def _check(name: str, value: Any) -> None:
    if not callable(value) and not isinstance(value, types.ModuleType):
        raise UsageError(f"The data set {name!r} must be a function get_split or a module with one, not {value!r}.")


_DATA_SETS: Registry[Any] = Registry("data set", "slim_train.datasets", {}, _check)


def register_dataset(name: str, get_split: Callable[..., Any] | None = None) -> Any:
    """Make a data set of records known by a name in this process, for ``--dataset_name``. Usable as a decorator.

    Args:
      name: the name.
      get_split: (split_name, dataset_dir, file_pattern, reader) -> slim.dataset.Dataset, as in research/slim.

    Returns:
      ``get_split``; without it, a decorator.

    Raises:
      UsageError: ``get_split`` is no function.
    """
    return _DATA_SETS.add("register_dataset", name, get_split)


@dataclasses.dataclass(frozen=True)
class DatasetModule:
    """A user's data set.

    Attributes:
      flag: what named it, for errors.
      contents: of its module, or ``get_split`` alone.
      folder: with its files.
    """

    flag: str
    contents: Mapping[str, Any]
    folder: Path

    def told(self, split_name: str, dataset_dir: str, told: RecordsAsTold) -> RecordsAsTold:
        """Return ``told``, completed with what the module says of a split.

        Raises:
          UsageError: the module does not work, or knows no such split.
        """
        facts = self._facts(split_name, dataset_dir, told.file_pattern)
        return dataclasses.replace(
            told,
            file_pattern=told.file_pattern or facts.get("file_pattern"),
            image_key=told.image_key or facts.get("image_key"),
            label_key=told.label_key or (None if told.text_key else facts.get("label_key")),
            classes=facts.get("classes"),
            classes_from=self.flag,
            num_samples=facts.get("num_samples"),
        )

    def _facts(self, split_name: str, dataset_dir: str, file_pattern: str | None) -> dict[str, Any]:
        get_split = self.contents.get("get_split")
        if get_split is None:
            return self._of_constants(split_name)
        try:
            accepted = inspect.signature(get_split).parameters
            given = {"file_pattern": file_pattern, "reader": None}
            split = get_split(split_name, dataset_dir, **{name: given[name] for name in given if name in accepted})
            facts = self._of_split(split, split_name, dataset_dir)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{self.flag}: get_split({split_name!r}) fails. {explain(error, self.folder)}") from error
        return {**facts, **self._pattern_for_all_splits()}

    def _of_split(self, split: Any, split_name: str, dataset_dir: str) -> dict[str, Any]:
        # Slim's decoder has no public name for these.
        handlers = getattr(getattr(split, "decoder", None), "__dict__", {}).get("_items_to_handlers", {})
        facts = {
            "file_pattern": _pattern(getattr(split, "data_sources", None), split_name, dataset_dir),
            "image_key": _first_key(handlers.get("image")),
            "label_key": _first_key(handlers.get("label")),
            "num_samples": getattr(split, "num_samples", None),
        }
        names, count = getattr(split, "labels_to_names", None), getattr(split, "num_classes", None)
        return {**facts, "classes": _class_names(names, count)}

    def _of_constants(self, split_name: str) -> dict[str, Any]:
        missing = [name for name in _CONSTANTS if name not in self.contents]
        if missing:
            raise UsageError(f"{self.flag} must define get_split(split_name, dataset_dir), or {' and '.join(missing)}.")
        sizes = self.contents.get("SPLITS_TO_SIZES") or {}
        if sizes and split_name not in sizes:
            raise UsageError(f"{self.flag} has no split {split_name!r}. Valid: {', '.join(sorted(sizes))}.")
        facts = {"num_samples": sizes.get(split_name), "classes": _class_names(None, self.contents["_NUM_CLASSES"])}
        return {**facts, **self._pattern_for_all_splits()}

    def _pattern_for_all_splits(self) -> dict[str, str]:
        pattern = self.contents.get("_FILE_PATTERN")
        return {"file_pattern": pattern} if isinstance(pattern, str) and "%s" in pattern else {}


def find_dataset_module(dataset_file: str | None, name: str | None) -> DatasetModule | None:
    """Return the user's data set that ``--dataset_file`` names, or that is registered as ``--dataset_name``.

    Raises:
      UsageError: the file or the package does not work.
    """
    if dataset_file:
        module = load_module("dataset_file", dataset_file)
        return DatasetModule(f"--dataset_file={dataset_file}", vars(module), Path(dataset_file).resolve().parent)
    if name is None or name not in _DATA_SETS:
        return None
    found = _DATA_SETS.get(name)
    flag = f"--dataset_name={name} ({_DATA_SETS.origin(name)})"
    if isinstance(found, types.ModuleType):
        return DatasetModule(flag, vars(found), Path(found.__file__ or "").parent)
    return DatasetModule(flag, {"get_split": found}, Path(origin_of(found)).parent)


def _first_key(handler: Any) -> str | None:
    """Return the key that an item of slim's decoder is made of; others of it are a format or a shape."""
    return next(iter(getattr(handler, "keys", ())), None)


def _pattern(sources: Any, split_name: str, dataset_dir: str) -> str | None:
    """Return the pattern of files in the folder, with %s for the split if its name is in it once."""
    if not isinstance(sources, str):
        return None  # a list of files: those of the split are found by their names
    path = Path(os.path.relpath(sources, dataset_dir))
    if path.is_absolute() or ".." in path.parts:
        return None
    pattern = path.as_posix()
    return pattern.replace(split_name, "%s") if pattern.count(split_name) == 1 else pattern


def _class_names(names: Any, count: Any) -> tuple[str, ...] | None:
    """Return a name for each class; numbers without names; None if not even their number is known.

    Raises:
      ValueError: labels are no numbers.
    """
    if isinstance(names, Mapping) and names:
        count = max(int(count or 0), max(map(int, names)) + 1)
        return tuple(str(names.get(label, label)) for label in range(count))
    return tuple(map(str, range(int(count)))) if count else None
