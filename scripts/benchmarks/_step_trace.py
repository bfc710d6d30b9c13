"""Where the time of a step with parameter servers goes: a training whose steps are traced, and a table of them.

``python _step_trace.py FILE FIRST COUNT FLAGS`` is train_image_classifier with these flags, which
traces ``COUNT`` steps from step number ``FIRST`` on and writes the medians of :func:`phases` to ``FILE`` as JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Event(NamedTuple):
    """An operation or a transfer: device, name of its type, begin and end in microseconds."""

    device: str
    type: str
    begin: int
    end: int


def events_of(metadata: Any) -> list[Event]:
    """Return what the ``tf.RunMetadata`` of a step holds."""
    found = []
    for of_device in metadata.step_stats.dev_stats:
        for node in of_device.node_stats:
            label = node.timeline_label.partition(" = ")[2] or node.node_name
            begin = node.all_start_micros
            found.append(Event(of_device.device, label.partition("(")[0], begin, begin + node.all_end_rel_micros))
    return found


def phases(events: Sequence[Event]) -> dict[str, float]:
    """Return the milliseconds of the parts of a step, which add up to the step, and what the server does meanwhile.

    ``head``: until the first layer computes; ``compute``: the worker computes; ``pulls``: it waits for variables in
    between; ``tail``: from its last operation until the step is over. ``update``: the server's operations, most of them
    while the worker computes; ``transfers``: time in which at least one tensor crosses.
    """
    begin, end = min(event.begin for event in events), max(event.end for event in events)
    operations = [event for event in events if event.type != "RecvTensor"]
    own = [event for event in operations if "/job:ps" not in event.device]
    # On CPUs with AVX-512, TensorFlow takes the operations of oneDNN.
    net = [event for event in own if event.type.removeprefix("_MklNative").removeprefix("_Mkl") in _NET]
    first, last = min(event.begin for event in net), max(event.end for event in net)
    computing = _covered((event.begin, event.end) for event in own if first <= event.begin and event.end <= last)
    return {
        "step": (end - begin) / 1e3,
        "head": (first - begin) / 1e3,
        "compute": computing / 1e3,
        "pulls": (last - first - computing) / 1e3,
        "tail": (end - last) / 1e3,
        "update": _covered((e.begin, e.end) for e in operations if "/job:ps" in e.device) / 1e3,
        "transfers": _covered((e.begin, e.end) for e in events if e.type == "RecvTensor") / 1e3,
    }


# Operations of layers, on the way there and back.
_NET = frozenset(
    name + suffix
    for name in ("Conv2D", "DepthwiseConv2dNative", "MatMul", "_FusedConv2D", "_FusedMatMul", "BatchMatMulV2")
    for suffix in ("", "BackpropInput", "BackpropFilter")
)


def _covered(intervals: Iterable[tuple[int, int]]) -> int:
    """Return the length of what the intervals cover together."""
    total, until = 0, 0
    for begin, end in sorted(intervals):
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total


def main() -> None:
    """Train, and trace."""
    file, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

    from slim_train.cli.train_image_classifier import COMMAND
    from slim_train.tf_compat import tf
    from slim_train.training import train

    class Tracing(tf.train.SessionRunHook):  # type: ignore[misc, name-defined]
        """Traces steps."""

        def __init__(self) -> None:
            self._step = 0
            self._found: list[dict[str, float]] = []

        def before_run(self, run_context: Any) -> Any:
            self._step += 1
            is_traced = first <= self._step < first + count
            return tf.train.SessionRunArgs(
                [], options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE) if is_traced else None
            )

        def after_run(self, run_context: Any, run_values: Any) -> None:
            if first <= self._step < first + count:
                self._found.append(phases(events_of(run_values.run_metadata)))

        def end(self, session: Any) -> None:
            medians = {name: statistics.median(of[name] for of in self._found) for name in self._found[0]}
            file.write_text(json.dumps({name: round(value, 1) for name, value in medians.items()}))

    run = train.run
    train.run = lambda options: run(options, hooks=[Tracing()])
    sys.exit(COMMAND.main(sys.argv[4:]))


if __name__ == "__main__":
    main()
