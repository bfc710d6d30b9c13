"""Copies of users' code in a training folder, ``model_code/``, and whether they may run.

They are kept so that a net can be built when its file has changed or is gone. A training folder may come from anybody,
so its code runs only if the user says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.files import replacing
from slim_train.errors import UsageError
from slim_train.nets.record import NetRecord
from slim_train.preprocessing.recipe import Recipe
from slim_train.training_options import TrustedCodeOptions, UserCodeOptions

log = logging.getLogger(__name__)

FOLDER = "model_code"
_MANIFEST = "code.json"
# The flags that name files, and the folders of their copies.
_FLAGS = {"model_file": "net", "preprocessing_file": "preprocessing"}


def keep_copies(train_dir: Path, code: UserCodeOptions, net: NetRecord, recipe: Recipe) -> None:
    """Write copies of the files of a user's net and recipe, with their digests, into a training folder.

    Args:
      train_dir: the training folder.
      code: the flags that named the files.
      net: the net that was loaded from them.
      recipe: the recipe that was loaded from them.

    Raises:
      UsageError: the folder cannot be written.
    """
    manifest: dict[str, Any] = {}
    try:
        for flag, files in (("model_file", net.files), ("preprocessing_file", recipe.files)):
            path = getattr(code, flag)
            if path:
                manifest[flag] = _copy(Path(path), files, train_dir / FOLDER / _FLAGS[flag])
        if manifest:
            with replacing(train_dir / FOLDER / _MANIFEST) as temporary:
                temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--train_dir: cannot write to {train_dir / FOLDER}: {error.strerror}.") from error


def code_to_run(
    folder: Path, given: UserCodeOptions, trained: UserCodeOptions, *, net: bool = True, recipe: bool = True
) -> UserCodeOptions:
    """Return the flags of the code that a trained model needs: what the user named, else the trusted copies.

    Args:
      folder: the training folder.
      given: what the user said.
      trained: what the training was told.
      net: whether the net of the training is needed.
      recipe: whether its recipe is needed.

    Raises:
      UsageError: code of the training folder is needed and the user has not said that it may run, or a copy is missing
        or was changed.
    """
    run = {field.name: getattr(given, field.name) for field in dataclasses.fields(UserCodeOptions)}
    if net and (trained.model_file or trained.model_module) and not (given.model_file or given.model_module):
        run["model_file"] = _trusted_copy(folder, given, "model_file", trained.model_file)
        run["model_module"] = _trusted_module(folder, given, trained.model_module)
    if net:
        run["arg_scope"] = given.arg_scope or trained.arg_scope
        run["model_args"] = given.model_args or trained.model_args
    if recipe and trained.preprocessing_file and not given.preprocessing_file:
        run["preprocessing_file"] = _trusted_copy(folder, given, "preprocessing_file", trained.preprocessing_file)
    for flag in _FLAGS:
        if getattr(given, flag) and getattr(trained, flag):
            _warn_of_change(folder, flag, getattr(given, flag))
    return UserCodeOptions(**run)


def _copy(path: Path, files: Sequence[str], target: Path) -> dict[str, Any]:
    root = path.expanduser().resolve().parent
    digests = {}
    shutil.rmtree(target, ignore_errors=True)
    for file in map(Path, files):
        relative = file.resolve().relative_to(root)
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        with replacing(target / relative) as temporary:
            shutil.copyfile(file, temporary)
        digests[relative.as_posix()] = _digest(target / relative)
    return {"file": path.name, "sha256": digests}


def _trusted_copy(folder: Path, given: UserCodeOptions, flag: str, trained: str | None) -> str | None:
    if trained is None:
        return None
    home = folder / FOLDER
    if not _is_trusted(given):
        raise UsageError(
            f"{folder} was trained with --{flag}={trained}. Code of a training folder runs only if you ask for it: "
            f"give --{flag}={trained}, or --trust_model_code to run the copy in {home}."
        )
    copied = _manifest(folder).get(flag)
    if not isinstance(copied, dict):
        raise UsageError(f"{home} holds no copy of {trained}: give --{flag}.")
    for name, digest in copied["sha256"].items():
        path = home / _FLAGS[flag] / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file() or _digest(path) != digest:
            raise UsageError(f"{path} is missing or is not what the model was trained with: give --{flag}.")
    return str(home / _FLAGS[flag] / Path(copied["file"]).name)


def _trusted_module(folder: Path, given: UserCodeOptions, trained: str | None) -> str | None:
    if trained and not _is_trusted(given):
        raise UsageError(
            f"{folder} was trained with --model_module={trained}. Code that a training folder names runs only if you "
            f"ask for it: give --model_module={trained}, or --trust_model_code."
        )
    return trained


def _is_trusted(given: UserCodeOptions) -> bool:
    return isinstance(given, TrustedCodeOptions) and given.trust_model_code


def _warn_of_change(folder: Path, flag: str, path: str) -> None:
    copied = _manifest(folder).get(flag)
    digests = copied.get("sha256", {}) if isinstance(copied, dict) else {}
    root = Path(path).expanduser().resolve().parent
    changed = [name for name, digest in digests.items() if _digest(root / name) not in (None, digest)]
    if changed:
        log.warning(
            "--%s: %s differs from the code that %s was trained with (copies in %s).",
            flag, ", ".join(changed), folder, folder / FOLDER,
        )  # fmt: skip


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / FOLDER / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
