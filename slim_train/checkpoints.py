"""Checkpoints: finding them, planning what is restored from them, and keeping the best one.

Variable names are TF-Slim's, so a released TF-Slim checkpoint restores into our nets.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from deployment import partitions
from slim_train import scopes
from slim_train.errors import RunError, UsageError
from slim_train.files import replacing
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

PREFIX = "model.ckpt"
BEST = "best"
_SHARD = re.compile(r"\.data-\d{5}-of-(\d{5})$")


def is_complete(prefix: str) -> bool:
    """Whether ``prefix`` names a checkpoint whose files are all there and readable: the test of an interrupted save."""
    index = Path(f"{prefix}.index")
    if not index.is_file():
        # The single-file format of TF-Slim's oldest released checkpoints.
        return Path(prefix).is_file() and _opens(prefix)
    shards = [match for file in index.parent.glob(f"{index.stem}.data-*") if (match := _SHARD.search(file.name))]
    return bool(shards) and len(shards) == int(shards[0].group(1)) and _opens(prefix)


def latest_checkpoint(folder: str | Path) -> str | None:
    """The prefix of the newest complete checkpoint in ``folder``, or None.

    Works in a folder that was moved or copied (the ``checkpoint`` file may hold the old absolute path), and passes over
    a checkpoint whose writing was cut short.
    """
    state = _state(folder)
    listed = [Path(state.model_checkpoint_path).name] if state else []
    for name in dict.fromkeys([*listed, *_saved_names(folder)]):
        prefix = str(Path(folder) / name)
        if is_complete(prefix):
            return prefix
        log.warning("Passing over %s: its writing was cut short or its files are gone.", prefix)
    return None


def newest_checkpoint(folder: str | Path) -> str | None:
    """The latest checkpoint of a training folder, or the only one, of any name, in another folder; None without."""
    return latest_checkpoint(folder) or _only_checkpoint(Path(folder))


def repair_state(folder: str | Path) -> str | None:
    """Make the ``checkpoint`` file of ``folder`` name the newest complete checkpoint, and return that or None.

    TensorFlow's sessions restore what that file names, be it whole or not.
    """
    newest = latest_checkpoint(folder)
    state = _state(folder)
    if newest is None:
        if state is not None:
            (Path(folder) / "checkpoint").unlink()
        return None
    # A file that was written elsewhere may name the checkpoint of another folder.
    if state is None or Path(state.model_checkpoint_path).absolute() != Path(newest).absolute():
        complete = [Path(prefix).name for prefix in saved_checkpoints(folder)]
        tf.train.update_checkpoint_state(str(folder), Path(newest).name, complete)
    return newest


def saved_checkpoints(folder: str | Path) -> list[str]:
    """The prefixes of the complete checkpoints of a training folder, oldest first."""
    prefixes = [str(Path(folder) / name) for name in reversed(_saved_names(folder))]
    return [prefix for prefix in prefixes if is_complete(prefix)]


def resolve_checkpoint(path: str) -> str:
    """The checkpoint prefix that a user's ``--checkpoint_path`` or ``--train_dir`` means.

    Takes a prefix, any file of a checkpoint, or a folder with a ``checkpoint`` file or a single checkpoint in it.

    Raises:
      UsageError: there is nothing at ``path``, or nothing that is a checkpoint.
    """
    given = Path(path)
    if given.is_dir():
        found = newest_checkpoint(given)
        if found is None:
            raise UsageError(f"The folder {path} holds no checkpoint (no .index file).")
        return found
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)
    if is_complete(prefix):
        return prefix
    if given.exists() or Path(f"{prefix}.index").exists():
        raise UsageError(f"{path} is not a complete TensorFlow checkpoint.")
    raise UsageError(f"The checkpoint {path} does not exist{_neighbours(given)}.")


def step_of(prefix: str) -> int:
    """The global step stored in a checkpoint; 0 where it stores none (released checkpoints often do not)."""
    reader = tf.train.load_checkpoint(prefix)
    return int(reader.get_tensor("global_step")) if reader.has_tensor("global_step") else 0


@dataclasses.dataclass(frozen=True)
class RestorePlan:
    """Which variables come from a checkpoint.

    Attributes:
      checkpoint: its prefix.
      restored: names in the checkpoint, and the variable that each goes to, or the parts of one.
      excluded: names left out by ``--checkpoint_exclude_scopes``.
      missing: names that the checkpoint lacks.
    """

    checkpoint: str
    restored: dict[str, list[Any]]
    excluded: tuple[str, ...]
    missing: tuple[str, ...]

    def init_fn(self) -> Callable[[Any, Any], None]:
        """A function (scaffold, session) that restores; make it while the graph can still grow."""
        saver = tf.train.Saver(list(itertools.chain(*self.restored.values())), name="fine_tune_saver")
        return lambda _scaffold, session: saver.restore(session, self.checkpoint)

    def describe(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.restored)} variables restored from {self.checkpoint}"]
        if self.excluded:
            parts.append(f"{len(self.excluded)} left out by --checkpoint_exclude_scopes")
        if self.missing:
            parts.append(f"{len(self.missing)} not in it")
        return ", ".join(parts)


def plan_restore(
    checkpoint: str,
    variables: Iterable[Any],
    exclude_scopes: Sequence[str] = (),
    ignore_missing: bool = False,
    head_scopes: Sequence[str] = (),
) -> RestorePlan:
    """Match the variables of a net with those of a checkpoint.

    Args:
      checkpoint: a prefix.
      variables: the model variables of the graph.
      exclude_scopes: scopes that keep their initial values.
      ignore_missing: whether variables that the checkpoint lacks keep theirs, too.
      head_scopes: the net's classification heads, for the advice in errors.

    Raises:
      UsageError: a scope matches nothing, variables are missing, shapes differ or nothing is left to restore. The
        message names the variables and the flag that would cure it.
    """
    by_name = partitions.by_stored_name(variables)
    excluded = scopes.select(by_name, exclude_scopes, "checkpoint_exclude_scopes")
    wanted = {name: by_name[name] for name in by_name if name not in set(excluded)}
    stored = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    missing = [name for name in wanted if name not in stored]
    if missing and not ignore_missing:
        lacks = f"{checkpoint} lacks {len(missing)} of the net's {len(by_name)} variables, first {missing[0]}. "
        if len(missing) > len(wanted) / 2:
            held = ", ".join(scopes.top_scopes(stored, depth=1)[:8])
            raise UsageError(f"{lacks}It seems to be another net's, since it holds {held}: check --model_name.")
        raise UsageError(
            f"{lacks}{_advice(missing, head_scopes, exclude_scopes)} or --ignore_missing_vars would start them afresh."
        )
    restored = {name: parts for name, parts in wanted.items() if name in stored}
    _check_shapes(checkpoint, restored, stored, head_scopes, exclude_scopes)
    if not restored:
        raise UsageError(f"Nothing is left to restore from {checkpoint}: every variable is excluded or missing.")
    return RestorePlan(checkpoint, restored, tuple(excluded), tuple(missing))


def check_resume(checkpoint: str, variables: Iterable[Any], describe_changes: Callable[[], str] = lambda: "") -> None:
    """Check that a run can go on from ``checkpoint``: that it holds all ``variables`` in their shapes.

    TensorFlow itself would take a value of another shape without a word.

    Args:
      checkpoint: a prefix.
      variables: of the graph.
      describe_changes: tells, for the error, which flags are others than those it was trained with; "" where that is
        not known.

    Raises:
      UsageError: it does not; the message names the variable and what was probably changed.
    """
    stored = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    for name, (variable, *_) in partitions.by_stored_name(variables).items():
        shape = partitions.stored_shape(variable)
        if name in stored and list(stored[name]) == shape:
            continue
        held = f"holds {name} in shape {list(stored[name])}" if name in stored else f"does not hold {name}"
        wanted = f", not {shape}" if name in stored else ""
        why = (
            describe_changes()
            or "It was trained with another --model_name, --num_classes, --optimizer or --trainable_scopes."
        )
        raise UsageError(
            f"Cannot resume: {checkpoint} {held}{wanted}. {why} Use its flags again, with --config="
            f"{Path(checkpoint).parent / 'config.yaml'}, or another --train_dir, or --restart."
        )


class BestCheckpoint:
    """Keeps a copy of the best checkpoint in ``<train_dir>/best``, its value beside it in ``best.json``.

    The value is read back when training resumes, so a worse checkpoint never replaces a better one.
    """

    def __init__(self, train_dir: str | Path) -> None:
        self.folder = Path(train_dir) / BEST
        self._record = self.folder / "best.json"
        self.value, self.step = float("-inf"), -1
        self._name = ""
        if self._record.is_file():
            try:
                stored = json.loads(self._record.read_text(encoding="utf-8"))
                self.value, self.step = float(stored["value"]), int(stored["step"])
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{self._record} is broken ({error}): delete {self.folder} to go on.") from error
            self._name = stored.get("checkpoint", f"{PREFIX}-{self.step}")

    @property
    def path(self) -> str | None:
        """The prefix of the best checkpoint, or None while there is none."""
        return str(self.folder / self._name) if self._name else None

    def offer(self, checkpoint: str, value: float, step: int, metric: str = "accuracy") -> bool:
        """Keep ``checkpoint`` if ``value`` is higher than the best so far; says whether it was."""
        if value <= self.value:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        name = Path(checkpoint).name
        for file in Path(checkpoint).parent.glob(f"{name}.*"):
            with replacing(self.folder / file.name) as temporary:
                shutil.copyfile(file, temporary)
        # With this file the new best is the best: what a kill leaves before or after it is whole.
        record = {"metric": metric, "value": value, "step": step, "checkpoint": name}
        with replacing(self._record) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        tf.train.update_checkpoint_state(str(self.folder), name, [name])
        for file in self.folder.glob(f"{PREFIX}-*"):
            if not file.name.startswith(f"{name}."):
                file.unlink()
        self.value, self.step, self._name = value, step, name
        return True


def set_aside(train_dir: str | Path) -> Path | None:
    """Move the checkpoints and logs of a training folder into a new ``previous-<n>`` below it, for a fresh start."""
    folder = Path(train_dir)
    patterns = ("checkpoint", f"{PREFIX}*", "events.out.tfevents.*", "metrics.jsonl", BEST, "graph.pbtxt")
    old = [path for pattern in patterns for path in folder.glob(pattern)]
    if not old:
        return None
    aside = next(path for number in itertools.count(1) if not (path := folder / f"previous-{number}").exists())
    aside.mkdir()
    for path in old:
        path.rename(aside / path.name)
    return aside


def _opens(prefix: str) -> bool:
    try:
        tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    except (tf.errors.OpError, RuntimeError, ValueError):
        return False
    return True


def _saved_names(folder: str | Path) -> list[str]:
    """Names of the numbered checkpoints in a training folder, newest first, complete or not."""
    steps = (file.stem.rpartition("-")[2] for file in Path(folder).glob(f"{PREFIX}-*.index"))
    return [f"{PREFIX}-{step}" for step in sorted(map(int, filter(str.isdigit, steps)), reverse=True)]


def _state(folder: str | Path) -> Any:
    try:
        return tf.train.get_checkpoint_state(str(folder))
    except tf.errors.OpError as error:
        raise RunError(f"Cannot read {folder}/checkpoint: {error.message}") from error


def _only_checkpoint(folder: Path) -> str | None:
    prefixes = [str(file.with_suffix("")) for file in folder.glob("*.index")]
    prefixes += [str(file) for file in folder.glob("*.ckpt") if file.is_file()]
    return prefixes[0] if len(prefixes) == 1 and is_complete(prefixes[0]) else None


def _neighbours(path: Path) -> str:
    """What lies beside a checkpoint that is not there, for the error."""
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    prefixes = sorted(file.name.removesuffix(".index") for file in path.parent.glob("*.index"))
    return f"; beside it: {', '.join(prefixes[:5])}" if prefixes else ""


def _check_shapes(
    checkpoint: str,
    restored: dict[str, list[Any]],
    stored: dict[str, list[int]],
    head_scopes: Sequence[str],
    exclude_scopes: Sequence[str],
) -> None:
    shapes = {name: partitions.stored_shape(parts[0]) for name, parts in restored.items()}
    wrong = [name for name, shape in shapes.items() if shape != list(stored[name])]
    if wrong:
        first = wrong[0]
        others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UsageError(
            f"{first}{others} has shape {shapes[first]} in the net and {list(stored[first])} in "
            f"{checkpoint}. {_advice(wrong, head_scopes, exclude_scopes)} would start it afresh."
        )


def _advice(names: Sequence[str], head_scopes: Sequence[str], already: Sequence[str]) -> str:
    """The ``--checkpoint_exclude_scopes`` value that leaves ``names`` out: whole heads where they lie in one."""
    cure = dict.fromkeys(already)
    for name in names:
        head = next((scope for scope in head_scopes if scopes.in_scope(name, scope)), name.rpartition("/")[0] or name)
        cure[head] = None
    return f"--checkpoint_exclude_scopes={','.join(cure)}"
