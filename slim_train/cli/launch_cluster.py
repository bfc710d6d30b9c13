"""Start a whole cluster on this machine: the command."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slim_train.cli.command import Command
from slim_train.config import Options, option
from slim_train.errors import RunError, UsageError, nearest

log = logging.getLogger(__name__)

# Between writes of the status file to a store.
_URL_SECS = 10.0


@dataclass(frozen=True)
class RoleOptions(Options):
    """Roles."""

    num_ps: int = option(1, "Number of parameter servers. 0: workers average gradients by all-reduce.", at_least=0)
    num_workers: int = option(2, "Number of workers, not counting the chief.", at_least=0)
    chief: bool = option(False, "Start a chief besides the workers. Default: worker 0 is the chief.")
    evaluator: bool = option(False, "Start an evaluator, which evaluates each new checkpoint.")


@dataclass(frozen=True)
class ShareOptions(Options):
    """What each role gets of the machine."""

    threads_per_worker: int | None = option(
        None, "CPU threads of each worker, chief and evaluator. Default: an equal share of the CPUs.", at_least=1
    )
    threads_per_ps: int | None = option(
        None, "CPU threads of each parameter server. Default: those of a worker, at most 4.", at_least=1
    )
    gpus_per_worker: int = option(
        0, "GPUs of each worker and the chief; other roles get none. 0: every role sees all GPUs.", at_least=0
    )


@dataclass(frozen=True)
class EndOptions(Options):
    """Failure and end."""

    max_restarts: int = option(
        0, "Maximum restarts of each failed role. Exit code 2 (bad usage) is never restarted.", at_least=0
    )
    finish_secs: float = option(
        120.0, "Seconds that the other roles have to end after the chief, before SIGTERM.", at_least=0
    )
    grace_secs: float = option(30.0, "Seconds between SIGTERM or Ctrl-C and SIGKILL.", at_least=0)


@dataclass(frozen=True)
class ViewOptions(Options):
    """What is shown."""

    dashboard: bool = option(
        True, "On a terminal, show a line with the state of each task below their output. Elsewhere there is none."
    )
    status_file: str | None = option(
        None, "JSON file with the state of each task, replaced every second; at a URL every 10.", takes_urls=True
    )


@dataclass(frozen=True)
class LaunchOptions(Options):
    """Everything that launch_cluster can be told."""

    roles: RoleOptions = field(default_factory=RoleOptions)
    shares: ShareOptions = field(default_factory=ShareOptions)
    end: EndOptions = field(default_factory=EndOptions)
    view: ViewOptions = field(default_factory=ViewOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.roles.num_workers and not self.roles.chief:
            raise UsageError("--num_workers=0 leaves no task that trains: set at least one worker, or --chief.")


def _run(options: LaunchOptions, command: Sequence[str]) -> int:
    from deployment.launch import LocalCluster, launch

    roles, shares, end = options.roles, options.shares, options.end
    cluster = LocalCluster(
        num_ps=roles.num_ps,
        num_workers=roles.num_workers,
        has_chief=roles.chief,
        has_evaluator=roles.evaluator,
        threads_per_worker=shares.threads_per_worker,
        threads_per_ps=shares.threads_per_ps,
        gpus_per_worker=shares.gpus_per_worker,
    )
    program = resolve(command)
    publish = _status_writer(options.view.status_file)
    try:
        return launch(
            program,
            cluster,
            max_restarts=end.max_restarts,
            finish_secs=end.finish_secs,
            grace_secs=end.grace_secs,
            has_dashboard=options.view.dashboard,
            on_status=publish,
        )
    except OSError as error:
        raise RunError(f"Cannot start {program[0]}: {error.strerror}.") from error


def _status_writer(file: str | None) -> Callable[[dict[str, Any]], None] | None:
    """Return what writes a status to ``file``, after a first try; None if there is no file.

    Raises:
      UsageError: the file cannot be written.
    """
    if file is None:
        return None
    from datasets.files import replacing
    from datasets.storage import is_url, path_of

    path, is_failing, written_at = path_of(file), False, 0.0
    every_secs = _URL_SECS if is_url(file) else 0.0

    def write(status: dict[str, Any]) -> None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")

    def write_or_say_once(status: dict[str, Any]) -> None:
        nonlocal is_failing, written_at
        if time.monotonic() - written_at < every_secs and status.get("exit_code") is None:
            return
        written_at = time.monotonic()
        try:
            write(status)
            is_failing = False
        except OSError as error:
            if not is_failing:
                log.warning("Cannot write --status_file=%s: %s.", path, error.strerror)
            is_failing = True

    try:
        write({})
    except OSError as error:
        raise UsageError(f"--status_file={file} cannot be written: {error.strerror}.") from error
    return write_or_say_once


def resolve(command: Sequence[str]) -> list[str]:
    """Return the words to run: a command of slim-train's is run by this Python, in a checkout as well as installed.

    Raises:
      UsageError: there is no command, or no such program.
    """
    if not command:
        raise UsageError("No command given. Write it after --: launch_cluster -- train_image_classifier ...")
    name, *arguments = command
    cli = Path(__file__).resolve().parent
    own = {path.stem for path in cli.glob("*.py")} - {"__init__", "command"}
    if name in own:
        script = cli.parents[1] / "scripts" / f"{name}.py"
        program = [str(script)] if script.is_file() else ["-m", f"slim_train.cli.{name}"]
        return [sys.executable, *program, *arguments]
    if shutil.which(name) is None:
        near = nearest(name, own, count=1)
        raise UsageError(f"There is no program {name!r}." + (f" Did you mean {near[0]}?" if near else ""))
    return list(command)


COMMAND = Command(
    name="launch_cluster",
    summary="Start a whole training cluster on this machine: the command after -- runs once per role, each with its "
    "TF_CONFIG, their lines marked by role. The exit code is the chief's.",
    defaults=LaunchOptions(),
    run=_run,
    uses_tensorflow=False,
    takes_command=True,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
