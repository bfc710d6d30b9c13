"""Copies of users' code in a training folder, ``model_code/``, and whether they may run.

They are kept so that a net can be built when its file has changed or is gone. A training folder may come from anybody,
so its code runs only if the user says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from datasets.files import cache_folder, replacing
from datasets.storage import copy_file, is_url, remove_folder
from slim_train.errors import UsageError
from slim_train.nets.record import NetRecord
from slim_train.preprocessing.recipe import Recipe
from slim_train.training_options import TrustedCodeOptions, UserCodeOptions

log = logging.getLogger(__name__)

FOLDER = "model_code"
_MANIFEST = "code.json"
_MOST_BYTES = 10 * 2**20  # of a file of code
# The flags that name files, and the folders of their copies.
_FLAGS = {"model_file": "net", "preprocessing_file": "preprocessing"}


def keep_copies(train_dir: Path, code: UserCodeOptions, net: NetRecord, recipe: Recipe) -> None:
    """Write copies of the files of a user's net and recipe, with their digests, into a training folder.

    Args:
      train_dir: the training folder. If it holds copies of other code, that is warned of.
      code: the flags that named the files.
      net: the net that was loaded from them.
      recipe: the recipe that was loaded from them.

    Raises:
      UsageError: the folder cannot be written.
    """
    warn_of_changes(train_dir, net, recipe)
    manifest: dict[str, Any] = {}
    try:
        for flag, loaded in (("model_file", net), ("preprocessing_file", recipe)):
            path = getattr(code, flag)
            if path:
                manifest[flag] = _copy(loaded.files, train_dir / FOLDER / _FLAGS[flag]) | {"digest": loaded.digest}
        if code.model_module:
            manifest["model_module"] = {"file": code.model_module, "sha256": {}, "digest": net.digest}
        if manifest:
            with replacing(train_dir / FOLDER / _MANIFEST) as temporary:
                temporary.parent.mkdir(exist_ok=True)
                temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--train_dir: cannot write to {train_dir / FOLDER}: {error.strerror}.") from error


def warn_of_changes(folder: Path, net: NetRecord, recipe: Recipe) -> None:
    """Warn if the code of a user's net or recipe is not what was trained with in ``folder`` until now.

    Arguments of the net count as its code.
    """
    manifest = _manifest(folder)
    for flag, loaded in (("model_file", net), ("model_module", net), ("preprocessing_file", recipe)):
        if flag in manifest and loaded.files and manifest[flag]["digest"] != loaded.digest:
            what = "arguments or code of the net" if loaded is net else "code of the preprocessing"
            log.warning(
                "--%s: the %s differ from what %s was trained with until now (copies in %s).",
                flag, what, folder, folder / FOLDER,
            )  # fmt: skip


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
    return UserCodeOptions(**run)


def _copy(files: Sequence[str], target: Path) -> dict[str, Any]:
    """Copy files, the first of which is what the user named and the others lie below its folder."""
    paths = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 -- links stay what they are
    root, new = paths[0].parent, target.with_name(f".{target.name}.new")
    digests: dict[str, str | None] = {}
    if is_url(target):
        remove_folder(target)
        for path in paths:
            copy_file(path, target / path.relative_to(root).as_posix())
            digests[path.relative_to(root).as_posix()] = _digest(path)
        return {"file": paths[0].name, "sha256": digests}
    shutil.rmtree(new, ignore_errors=True)
    for path in paths:
        relative = path.relative_to(root)
        (new / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, new / relative)
        digests[relative.as_posix()] = _digest(new / relative)
    # Only now: the files may be the copies themselves.
    shutil.rmtree(target, ignore_errors=True)
    new.replace(target)
    return {"file": paths[0].name, "sha256": digests}


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
    if copied is None:
        raise UsageError(f"{home} holds no copy of {trained}: give --{flag}.")
    own = _on_this_machine(home / _FLAGS[flag], copied["sha256"])
    for name, digest in copied["sha256"].items():
        path = own / name
        if digest is None or _digest(path) != digest:
            raise UsageError(f"{path} is missing or is not what the model was trained with: give --{flag}.")
    return str(own / copied["file"])


def _on_this_machine(folder: Path, digests: Mapping[str, str]) -> Path:
    """Return ``folder``; for a URL, the folder in the user's cache that its files are copied to.

    Raises:
      UsageError: they cannot be read.
    """
    if not is_url(folder):
        return folder
    own = cache_folder() / "model_code" / hashlib.sha256(json.dumps([str(folder), digests]).encode()).hexdigest()[:16]
    try:
        for name in digests:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            copy_file(folder / name, own / name)
    except OSError as error:
        raise UsageError(f"Cannot read {error.filename}: {error.strerror}.") from error
    return own


def _trusted_module(folder: Path, given: UserCodeOptions, trained: str | None) -> str | None:
    if trained and not _is_trusted(given):
        raise UsageError(
            f"{folder} was trained with --model_module={trained}. Code that a training folder names runs only if you "
            f"ask for it: give --model_module={trained}, or --trust_model_code."
        )
    return trained


def _is_trusted(given: UserCodeOptions) -> bool:
    return isinstance(given, TrustedCodeOptions) and given.trust_model_code


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what code.json says of each flag. Anybody may have written it: entries in another form are left out."""
    path = folder / FOLDER / _MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size < _MOST_BYTES else None
    except (OSError, ValueError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {flag: entry for flag, entry in entries if _is_valid(flag, entry)}


def _is_valid(flag: str, entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
        return False
    digests = entry.get("sha256")
    if not isinstance(digests, dict) or not isinstance(entry.get("file"), str):
        return False
    if flag != "model_module" and entry["file"] not in digests:
        return False
    return all(
        isinstance(digest, str) and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        for name, digest in digests.items()
    )


def _digest(path: Path) -> str | None:
    """Return the digest of a file; None if it is missing, too large to be code, or no file."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
