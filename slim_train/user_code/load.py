"""``--model_file``, ``--model_module`` and ``--preprocessing_file``: the net and the recipe that they name."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError, unknown
from slim_train.nets import conventions, factory
from slim_train.nets.discovery import complete_record
from slim_train.nets.record import NetRecord
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.user_recipe import recipe_of_function
from slim_train.tf_compat import tf
from slim_train.training_options import NetCodeOptions, UserCodeOptions
from slim_train.user_code.files import UserFiles
from slim_train.user_functions import explain

PREPROCESS_IMAGE = "preprocess_image"
_TRIED_SIZE = 224


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A module of a user.

    Attributes:
      module: it.
      flag: what named it, with its value, for errors.
      package: the files that were loaded with it.
    """

    module: types.ModuleType
    flag: str
    package: UserFiles

    def files(self) -> list[Path]:
        """Return the file of the module, then the others that it imported until now."""
        main = Path(str(self.module.__file__))
        return [main, *(path for path in self.package.loaded() if path != main)]


def load_net(
    code: NetCodeOptions, name: str, image_size: int | None = None, channels: int | None = None
) -> NetRecord | None:
    """Return the net ``name`` of ``--model_file`` or ``--model_module``; None if neither is given.

    Args:
      code: the flags.
      name: of a function in research/slim's convention, of a NetRecord, or that a record was registered with.
      image_size: height and width in pixels, for a net that names none.
      channels: color channels of its images.

    Raises:
      UsageError: the file does not load, there is no such net in it, or the net cannot be built.
    """
    loaded = _load_model_code(code)
    return None if loaded is None else _complete(loaded, code, name, image_size, channels)


def _complete(
    loaded: _Loaded, code: NetCodeOptions, name: str, image_size: int | None = None, channels: int | None = None
) -> NetRecord:
    """Return a net of a loaded module, with what it does not say, its files and their digest."""
    record = complete_record(_record(loaded, code, name, image_size, channels))
    files = loaded.files()  # building may have imported more
    arguments = sorted(parse_arguments(code.model_args).items())
    digest = _digest(files, [name, code.arg_scope, arguments])
    return dataclasses.replace(record, files=tuple(map(str, files)), digest=digest)


def load_nets(code: NetCodeOptions, names: Sequence[str], image_size: int | None = None) -> list[NetRecord]:
    """Return the nets ``names`` of ``--model_file`` or ``--model_module``, or all of it; none if neither is given.

    Raises:
      UsageError: as :func:`load_net` does.
    """
    loaded = _load_model_code(code)
    if loaded is None:
        return []
    names = names or conventions.nets_in(vars(loaded.module))
    if not names:
        raise UsageError(f"{loaded.flag} has no net: no function takes images and a number of classes.")
    return [_complete(loaded, code, name, image_size) for name in names]


def load_recipe(code: UserCodeOptions, image_size: int | None = None, channels: int | None = None) -> Recipe | None:
    """Return the recipe of ``--preprocessing_file``; None if that is not given.

    Args:
      code: the flags.
      image_size: height and width in pixels that it is tried with; None: any.
      channels: color channels that it is tried with; None: 3.

    Raises:
      UsageError: the file does not load or has no function ``preprocess_image``, or that does not work.
    """
    if not code.preprocessing_file:
        return None
    loaded = _load_file("preprocessing_file", code.preprocessing_file)
    function = getattr(loaded.module, PREPROCESS_IMAGE, None)
    if not callable(function):
        raise UsageError(
            f"{loaded.flag} must define {PREPROCESS_IMAGE}(image, output_height, output_width, is_training)."
        )
    recipe = recipe_of_function(function, Path(code.preprocessing_file).stem)
    _try(recipe, image_size or _TRIED_SIZE, channels or 3)
    files = loaded.files()  # trying it may have imported more
    return dataclasses.replace(recipe, files=tuple(map(str, files)), digest=_digest(files))


def _try(recipe: Recipe, size: int, channels: int) -> None:
    """Build the graph of a recipe as training and evaluation do, so that what is wrong with it comes up first.

    Raises:
      UsageError: it fails, or returns no image of the size.
    """
    for is_training in (True, False):
        with tf.Graph().as_default():
            image = tf.placeholder(tf.uint8, [None, None, channels])
            recipe.preprocess(image, size, size, is_training=is_training)


def load_module(flag: str, path: str) -> types.ModuleType:
    """Return the module of a user's file that ``--flag`` names.

    Raises:
      UsageError: there is no such file, or it does not load; the message names the line.
    """
    return _load_file(flag, path).module


def parse_arguments(text: str | None) -> dict[str, str]:
    """Return the names and values of ``--model_args``, such as ``depth=0.5,widths=[8, 16]``.

    Raises:
      UsageError: a part has no name or no value.
    """
    arguments: dict[str, str] = {}
    for part in _parts(text or ""):
        name, separator, value = (piece.strip() for piece in part.partition("="))
        if not name.isidentifier() or not separator:
            raise UsageError(f"--model_args={text} must be NAME=VALUE,..., got {part.strip()!r}.")
        if name in arguments:
            raise UsageError(f"--model_args={text} gives {name} two values.")
        arguments[name] = value
    return arguments


def _parts(text: str) -> Iterator[str]:
    """Split at commas outside of brackets and quotes."""
    part, depth, quote = "", 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "[({") - (character in "])}")
        if character == "," and not depth and not quote:
            yield part
            part = ""
        else:
            part += character
    if part.strip():
        yield part


def _load_model_code(code: NetCodeOptions) -> _Loaded | None:
    if code.model_file and code.model_module:
        raise UsageError("--model_file and --model_module cannot be combined.")
    if code.model_file:
        return _load_file("model_file", code.model_file)
    if code.model_module:
        return _load_installed(code.model_module)
    for flag in ("arg_scope", "model_args"):
        if getattr(code, flag):
            raise UsageError(f"--{flag} requires --model_file or --model_module.")
    return None


def _load_file(flag: str, name: str) -> _Loaded:
    path = Path(name).expanduser()
    given = f"--{flag}={name}"
    if not path.is_file() or path.suffix != ".py":
        raise UsageError(f"{given}: there is no such Python file.")
    if not path.stem.replace("-", "_").isidentifier():
        raise UsageError(f"{given}: name the file as a Python module is named, with letters, digits and _.")
    real = path.resolve()  # as Python does for a script that is a link
    return _load(UserFiles(real.parent), real.stem, given, real.parent)


def _load_installed(name: str) -> _Loaded:
    given = f"--model_module={name}"
    top = name.partition(".")[0]
    spec = _find_spec(top)
    if spec is None or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{given}: there is no Python module {top!r} here or on the Python path.")
    home = Path((spec.submodule_search_locations or [spec.origin])[0] or "").parent
    return _load(UserFiles(home, only=top), name, given, home)


def _find_spec(name: str) -> Any:
    """Return where a module is: on the Python path, else in the working directory."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    return found or importlib.machinery.PathFinder.find_spec(name, [str(Path.cwd())])


def _load(files: UserFiles, module: str, given: str, folder: Path) -> _Loaded:
    try:
        # Standard output is for results of commands.
        with contextlib.redirect_stdout(sys.stderr):
            return _Loaded(files.load(module), given, files)
    except UsageError:
        files.close()
        raise
    except (Exception, SystemExit) as error:
        files.close()
        raise UsageError(f"{given} cannot be loaded. {explain(error, folder)}") from error


def _record(
    loaded: _Loaded, code: NetCodeOptions, name: str, image_size: int | None, channels: int | None
) -> NetRecord:
    contents = vars(loaded.module)
    net = contents.get(name)
    is_registered = net is None and factory.is_registered(name, loaded.files())
    if is_registered or isinstance(net, NetRecord):
        for flag in ("arg_scope", "model_args"):
            if getattr(code, flag):
                raise UsageError(f"--{flag} is for functions in research/slim's convention, and {name} is a NetRecord.")
        return factory.registered_record(name) if is_registered else conventions.as_record(net, name)
    if not callable(net):
        raise UsageError(f"{loaded.flag}: {unknown('net', name, conventions.nets_in(contents))}")
    try:
        scope = conventions.find_arg_scope(contents, name, code.arg_scope)
        return conventions.record_of_function(
            net, name, scope, parse_arguments(code.model_args), image_size=image_size, channels=channels
        )
    except UsageError as error:
        raise UsageError(f"{loaded.flag}: {error}") from error


def _digest(files: Iterable[Path], choices: Sequence[Any] = ()) -> str:
    """Return a digest of the contents of files, and of what was chosen among them."""
    digest = hashlib.sha256(repr(list(choices)).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
