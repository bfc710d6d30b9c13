"""Which variables are restored from a checkpoint.

Variable names are TF-Slim's, so a released TF-Slim checkpoint restores into our nets.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from datasets.storage import path_of
from deployment import partitions
from slim_train.checkpoints import copies, scopes
from slim_train.errors import UsageError
from slim_train.tf_compat import tf


@dataclasses.dataclass(frozen=True)
class RestorePlan:
    """Which variables come from a checkpoint.

    Attributes:
      checkpoint: its prefix.
      restored: names in the checkpoint, and the variable that each goes to, or the parts of one.
      excluded: names excluded by ``--checkpoint_exclude_scopes``.
      missing: names that the checkpoint lacks.
    """

    checkpoint: str
    restored: dict[str, list[Any]]
    excluded: tuple[str, ...]
    missing: tuple[str, ...]

    def init_fn(self) -> Callable[[Any, Any], None]:
        """Return a function (scaffold, session) that restores; make it while the graph can still grow."""
        saver = tf.train.Saver(list(itertools.chain(*self.restored.values())), name="fine_tune_saver")

        def restore(_scaffold: Any, session: Any) -> None:
            with copies.opened(self.checkpoint) as checkpoint:
                saver.restore(session, checkpoint)

        return restore

    def describe(self) -> str:
        """Return one line for the log."""
        parts = [f"{len(self.restored)} variables restored from {self.checkpoint}"]
        if self.excluded:
            parts.append(f"{len(self.excluded)} excluded by --checkpoint_exclude_scopes")
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
    stored = copies.shapes(checkpoint)
    missing = [name for name in wanted if name not in stored]
    if missing and not ignore_missing:
        lacks = f"{checkpoint} lacks {len(missing)} of the net's {len(by_name)} variables, first {missing[0]}. "
        if len(missing) > len(wanted) / 2:
            held = ", ".join(scopes.top_scopes(stored, depth=1)[:8])
            raise UsageError(f"{lacks}It seems to be another net's, since it holds {held}: check --model_name.")
        raise UsageError(
            f"{lacks}{_advice(missing, head_scopes, exclude_scopes)} or --ignore_missing_vars would initialize them."
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
      describe_changes: tells, for the error, which flags are others than those it was trained with; "" if that is
        not known.

    Raises:
      UsageError: it does not; the message names the variable and what was probably changed.
    """
    stored = copies.shapes(checkpoint)
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
            f"{path_of(checkpoint).parent / 'config.yaml'}, or another --train_dir, or --restart."
        )


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
            f"{checkpoint}. {_advice(wrong, head_scopes, exclude_scopes)} would initialize it."
        )


def _advice(names: Sequence[str], head_scopes: Sequence[str], already: Sequence[str]) -> str:
    """Return the ``--checkpoint_exclude_scopes`` value that leaves ``names`` out: whole heads where they lie in one."""
    cure = dict.fromkeys(already)
    for name in names:
        head = next((scope for scope in head_scopes if scopes.in_scope(name, scope)), scopes.auxiliary_scope(name))
        cure[head or name.rpartition("/")[0] or name] = None
    return f"--checkpoint_exclude_scopes={','.join(cure)}"
