"""What all commands share: flags made from an options dataclass, --config, --help, errors and exit codes.

Exit codes: 0 done, 1 failed, 2 bad usage, 130 stopped by Ctrl-C. A user's mistake is one line on stderr; anything else
keeps its traceback, since that is a fault of ours.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import importlib
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Generic, TypeVar

from absl import flags

import slim_train
from slim_train import config, own_packages, recipes
from slim_train.errors import RunError, UsageError

OptionsT = TypeVar("OptionsT")

_LOG_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_STOPPED = "stopped by Ctrl-C"
_EXIT_CODE_STOPPED = 130

_OLD_LOGGING_FLAGS = ("alsologtostderr", "logtostderr")


@dataclasses.dataclass(frozen=True)
class Command(Generic[OptionsT]):
    """A console command.

    Attributes:
      name: what the user types.
      summary: what it does, for the head of ``--help``.
      defaults: an options instance; its fields are the flags, their values the defaults.
      run: the verb; called with the options, it returns its exit code, None for 0. It may import TensorFlow; nothing
        does before the flags are known to be good.
      check: called with the options before TensorFlow is imported; it raises UsageError for those that cannot work.
      required: flags that must be given, on the command line or in the ``--config`` file.
      uses_tensorflow: whether to import TensorFlow, quietly, before ``run``; or a function of the options that says so.
      needs_keras: whether something in ``run`` takes Keras 3; without it TensorFlow is imported sooner.
      takes_command: whether the words after ``--`` are a command line for ``run``, its second argument then.
      words: how the usage line calls words that are no flags, such as ``[NAME ...]``; they are the last argument of
        ``run`` then. Empty: there must be none.
    """

    name: str
    summary: str
    defaults: OptionsT
    run: Callable[..., int | None]
    check: Callable[[OptionsT], None] | None = None
    required: tuple[str, ...] = ()
    uses_tensorflow: bool | Callable[[OptionsT], bool] = True
    needs_keras: bool = True
    takes_command: bool = False
    words: str = ""

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run with ``argv`` (default: the process's arguments) and return the exit code."""
        try:
            if conflict := own_packages.conflict():
                raise UsageError(conflict)
            return self._main(argv)
        except UsageError as error:
            return self._fail(error, 2)
        except RunError as error:
            return self._fail(error, 1)
        except KeyboardInterrupt:
            return self._fail(_STOPPED, _EXIT_CODE_STOPPED)
        except BrokenPipeError:
            # Who reads our output has had enough, as in `... | head`. Python would complain once more at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            # What the machine refuses: a folder without permission, a name too long, a full disk.
            if error.strerror is None:
                raise
            return self._fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror, 1)

    def _main(self, argv: Sequence[str] | None) -> int:
        # Only now that these packages are known to be ours.
        from datasets.errors import DataError
        from deployment.cluster import ClusterError

        own, command = self._split(sys.argv if argv is None else [self.name, *argv])
        flag_values, words = self._parse(own)
        if flag_values.help:
            print(self._help())
            return 0
        if flag_values.version:
            print(f"{self.name} {slim_train.__version__}")
            return 0
        _start_logging(flag_values.verbosity)
        if flag_values.filesystem_plugin:
            self._load_plugin(flag_values.filesystem_plugin, flag_values.verbosity)
        options = self._options(flag_values)
        if self.check:
            self.check(options)
        uses = self.uses_tensorflow
        if uses(options) if callable(uses) else uses:
            self._start_tensorflow(flag_values.verbosity)
        try:
            return self.run(options, *([command] if self.takes_command else []), *([words] if self.words else [])) or 0
        except (DataError, ClusterError) as error:
            return self._fail(error, 2)

    def _start_tensorflow(self, verbosity: str) -> None:
        # Read by TensorFlow when it is first imported. Its errors come as exceptions, too; what its C++ writes by
        # itself is chatter about missing GPUs that hides what users look for.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbosity == "debug" else "3")
        if "tensorflow" not in sys.modules:
            with _ctrl_c_exits(self.name):
                _import_tensorflow(self.needs_keras)
        from slim_train import tf_compat

        tf_compat.silence_deprecation_noise()

    def _load_plugin(self, module: str, verbosity: str) -> None:
        """Import a plug-in for TensorFlow before the flags are checked: it decides which URLs they may hold."""
        self._start_tensorflow(verbosity)
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the module raises
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UsageError(f"--filesystem_plugin={module} cannot be imported: {reason}.") from error

    def _fail(self, error: object, code: int) -> int:
        logging.getLogger(__name__).debug("Where it happened:", exc_info=True)
        print(f"{self.name}: error: {error}", file=sys.stderr)
        return code

    def _split(self, argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        """Return the command's own words and those after ``--``."""
        if not self.takes_command or "--" not in argv:
            return argv, []
        end = argv.index("--")
        return argv[:end], argv[end + 1 :]

    def _parse(self, argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
        values = flags.FlagValues()
        values.set_gnu_getopt(True)  # flags may come after other words
        for spec in config.flag_specs(self.defaults):
            _define(values, spec)
        flags.DEFINE_string("config", None, "YAML file of flags, or a recipe.", flag_values=values)
        flags.DEFINE_string(
            "filesystem_plugin", None, "Python module that adds file systems to TensorFlow.", flag_values=values
        )
        flags.DEFINE_enum("verbosity", "info", list(_LOG_LEVELS), "How much to log.", flag_values=values)
        flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", flag_values=values)
        flags.DEFINE_boolean("version", False, "Show the version.", flag_values=values)
        for name in _OLD_LOGGING_FLAGS:
            flags.DEFINE_boolean(name, False, "For old command lines: logs go to stderr anyway.", flag_values=values)
        try:
            words = values(list(argv))[1:]
        except flags.Error as error:
            raise UsageError(f"{error} (--help lists the flags)") from error
        if words and not self.words:
            hint = ", and the command to run comes after --" if self.takes_command else ""
            raise UsageError(f"Unexpected argument {words[0]!r}: flags are written --name=value{hint}.")
        return values, words

    def _options(self, flag_values: flags.FlagValues) -> OptionsT:
        file = recipes.config_path(flag_values.config) if flag_values.config else None
        given = config.read_yaml(file, self.defaults) if file else {}
        specs = list(config.flag_specs(self.defaults))
        typed = [spec for spec in specs if any(flag_values[name].present for name in (spec.name, *spec.info.aliases))]
        if file:
            config.refuse_code_of_training_folder(file, given, self.defaults, [spec.name for spec in typed])
        for spec in typed:
            value = flag_values[spec.name].value
            # --checkpoint_path= on an old command line means: none.
            given[spec.name] = None if spec.optional and value == "" else value
        for name in self.required:
            if given.get(name) in (None, ""):
                raise UsageError(f"--{name} is required (--help lists the flags).")
        return config.with_values(self.defaults, given)

    def _help(self) -> str:
        usage = f"usage: {self.name} [--flag=value ...]{f' {self.words}' if self.words else ''}"
        usage += " -- command ..." if self.takes_command else ""
        lines = [textwrap.fill(self.summary, 100), "", usage]
        group = None
        for spec in config.flag_specs(self.defaults):
            if spec.group != group:
                group = spec.group
                lines += ["", group]
            lines += _help_entry(spec, required=spec.name in self.required)
        lines += [
            "",
            "Common to all commands.",
            "  --config=FILE.yaml        YAML file whose keys are flag names, or the name of a recipe",
            "                            (slim_models --recipes). The command line wins.",
            "  --filesystem_plugin=MODULE",
            "                            Python module to import that adds file systems to TensorFlow, such as",
            "                            tensorflow_io. The module runs: use only code you trust.",
            "  --verbosity=info          debug, info, warning or error.",
            "  --help, --version",
        ]
        return "\n".join(lines)


def _help_entry(spec: config.FlagSpec, required: bool) -> list[str]:
    if spec.type is bool:
        usage = f"--[no]{spec.name}"
    elif spec.default is None:
        usage = f"--{spec.name}={spec.type.__name__.upper()}"
    else:
        usage = f"--{spec.name}={spec.default}"
    text = ("Required. " if required else "") + spec.info.help
    if spec.info.choices:
        text += f" One of {', '.join(map(str, spec.info.choices))}."
    if spec.info.aliases:
        text += f" Also --{', --'.join(spec.info.aliases)}."
    body = textwrap.wrap(text, 72)
    indent = " " * 28
    head = f"  {usage:<25} "
    if len(head) > len(indent):
        return [head, *(indent + line for line in body)]
    return [head + body[0], *(indent + line for line in body[1:])]


def _define(values: flags.FlagValues, spec: config.FlagSpec) -> None:
    define = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
    }[spec.type]
    define(spec.name, spec.default, spec.info.help, flag_values=values)
    for alias in spec.info.aliases:
        flags.DEFINE_alias(alias, spec.name, flag_values=values)


def _start_logging(verbosity: str) -> None:
    logging.basicConfig(
        level=_LOG_LEVELS[verbosity], format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S", force=True
    )
    for noisy in ("tensorflow", "absl", "h5py", "PIL", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.DEBUG if verbosity == "debug" else logging.ERROR)


@contextlib.contextmanager
def _ctrl_c_exits(name: str) -> Iterator[None]:
    """End the process at Ctrl-C in the block, from the signal's handler.

    An exception can get lost: imports catch it, Python drops what callbacks raise, and an import that was half done may
    fail for another reason, or crash at the exit. So early in a command there is nothing to clean up. A signal that is
    ignored, as in a shell's background jobs, or that somebody else handles is left alone.
    """
    from deployment.signals import handled

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    stderr = os.dup(2)  # the import hides what is written to 2

    def stop(number: int, frame: FrameType | None) -> None:
        os.write(stderr, f"{name}: error: {_STOPPED}\n".encode())
        os._exit(_EXIT_CODE_STOPPED)

    try:
        with handled([signal.SIGINT], stop):
            yield
    finally:
        os.close(stderr)


def _import_tensorflow(needs_keras: bool) -> None:
    """Import what commands would import anyway, with no search for garbage among its half a million objects.

    That takes a fifth of the time of the import, a quarter of a second now and then in the run, and more than a second
    when the process ends.
    """
    if not needs_keras:
        # TensorFlow imports Keras 3 otherwise, which alone takes a quarter of the time.
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    gc.disable()
    try:
        importlib.import_module("slim_train.tf_compat")
    finally:
        gc.enable()
    gc.freeze()
    # A graph is many objects that stay, too: a search after every 700 new ones costs a tenth of the time to build it.
    gc.set_threshold(10_000, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
