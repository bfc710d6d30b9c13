"""The precision of a session: float32, or TensorFlow's rewrite of the graph to 16-bit floats where they do no harm.

The rewrite happens when a session prepares a graph, and casts around convolutions, matrix products and what lies
between them. The graph itself, its variables and so its checkpoints are the same in every precision. bfloat16 has the
range of float32 and needs nothing else; float16 has not, and training in it needs :mod:`slim_train.optim.loss_scaling`.
"""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from slim_train.errors import UsageError
from slim_train.tf_compat import tf
from slim_train.training_options import ComputeOptions

log = logging.getLogger(__name__)

_WARMUP_STEPS = 2
_MIN_ROUNDS = 3
_MAX_ROUNDS = 100
_TRIAL_SECS = 4.0
# Rates this close are the same within what can be measured, and float32 is the more exact.
_WORTHWHILE = 1.03


class _Rewrite(NamedTuple):
    option: str  # in RewriterConfig
    dtype: Any
    device: str
    needs: str


_REWRITES = {
    "bf16": _Rewrite(
        "auto_mixed_precision_onednn_bfloat16",
        tf.bfloat16,
        "CPU",
        "AVX-512, and oneDNN, which TF_ENABLE_ONEDNN_OPTS=0 switches off",
    ),
    "fp16": _Rewrite("auto_mixed_precision", tf.float16, "GPU", "compute capability 7.0"),
}


def check(options: ComputeOptions, device: str) -> None:
    """Check that what ``options`` name is made for ``device``, "CPU" or "GPU": where the net runs.

    Raises:
      UsageError: it is not; the message says what is.
    """
    rewrite = _REWRITES.get(options.precision)
    if rewrite and rewrite.device != device:
        raise UsageError(
            f"--precision={options.precision} is for a {rewrite.device}, and the net runs on a {device}: use "
            f"--precision={_reduced(device)}, or auto to have it measured."
        )
    if options.xla and device == "CPU":
        raise UsageError("--xla requires a GPU: on a CPU it makes convolutions train 10 times slower.")


def session_config(base: Any, precision: str, xla: bool = False, master: str = "") -> Any:
    """Return a copy of the ``tf.ConfigProto`` ``base`` for sessions that compute in ``precision``: fp32, bf16 or fp16.

    Args:
      xla: compile clusters of operations with XLA.
      master: address of the TensorFlow server that the sessions are on; "" for sessions in this process.
    """
    config = tf.ConfigProto()
    config.CopyFrom(base)
    if precision in _REWRITES:
        rewrites = config.graph_options.rewrite_options
        setattr(rewrites, _REWRITES[precision].option, rewrites.ON)
        if master:
            # A server takes no _FusedConv2D of bfloat16, into which convolution, bias and activation are remapped:
            # only oneDNN's operation that would replace it later is made for that.
            rewrites.remapping = rewrites.OFF
    if xla:
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    return config


def resolve(
    options: ComputeOptions, device: str, base: Any, measure: Callable[[Sequence[str]], dict[str, float]] | None
) -> str:
    """Return the precision to compute in: the one that is asked for, or for ``auto`` the fastest.

    Args:
      device: "CPU" or "GPU", where the net runs.
      base: session options, which the first session of a process sets for all later ones in part.
      measure: images a second in each of the given precisions; called for ``auto`` alone. None, for forward passes
        alone: 16 bits are then taken without a trial, since they gain with every net (mobilenet_v2 1.7 times on a CPU;
        it is training that loses with depthwise convolutions).

    Returns:
      fp32, bf16 or fp16.

    Raises:
      UsageError: the device, or this machine's make of it, does not compute in what is asked for.
    """
    check(options, device)
    if options.precision == "fp32":
        return "fp32"
    reduced = _reduced(device)
    if not is_served(reduced, base):
        reason = f"TensorFlow does not compute in {reduced} on this machine's {device}: it takes "
        reason += _REWRITES[reduced].needs
        if options.precision != "auto":
            raise UsageError(f"{reason}. Use --precision=fp32.")
        log.info("--precision=auto is fp32 here. %s.", reason)
        return "fp32"
    if options.precision != "auto":
        return options.precision
    if measure is None:
        return reduced
    rates = measure(("fp32", reduced))
    chosen = reduced if rates[reduced] > _WORTHWHILE * rates["fp32"] else "fp32"
    made = ", ".join(f"{name} makes {rate:.1f} images/s" for name, rate in rates.items())
    log.info("--precision=auto: on this machine %s. Going on in %s.", made, chosen)
    return chosen


def is_served(precision: str, base: Any) -> bool:
    """Return whether TensorFlow computes in ``precision``, bf16 or fp16, on this machine: tried on a small product."""
    if precision == "bf16" and _held_below_avx512():
        return False
    with tf.Graph().as_default() as graph:
        matrix = tf.placeholder(tf.float32, [8, 8])
        product = tf.matmul(matrix, matrix) + 1.0
        metadata = tf.RunMetadata()
        with tf.Session(graph=graph, config=_alone(session_config(base, precision))) as session:
            session.run(
                product,
                {matrix: np.ones([8, 8])},
                options=tf.RunOptions(output_partition_graphs=True),
                run_metadata=metadata,
            )
    return _REWRITES[precision].dtype in {
        tf.as_dtype(node.attr["T"].type)
        for partition in metadata.partition_graphs
        for node in partition.node
        if "MatMul" in node.op
    }


def _held_below_avx512() -> bool:
    """Whether the environment holds oneDNN to instructions without bfloat16.

    TensorFlow asks the CPU, not oneDNN, and a process that tries it is aborted.
    """
    limits = (os.environ.get(name, "").upper() for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"))
    return any(limit.startswith(("SSE", "AVX")) and not limit.startswith(("AVX512", "AVX10")) for limit in limits)


def measure_rates(
    build: Callable[[], Any], images_per_step: int, base: Any, precisions: Sequence[str], seconds: float = _TRIAL_SECS
) -> dict[str, float]:
    """Images a second of one graph in each of ``precisions``, a step of each in turn; medians.

    Args:
      build: adds to the default graph what a step runs, and returns that.
      base: session options.
      seconds: how long to measure; three steps of each are made in any case, after two that warm up.
    """
    with tf.Graph().as_default() as graph:
        fetched = build()
        prepare = [tf.global_variables_initializer(), tf.local_variables_initializer(), tf.tables_initializer()]
    sessions = {name: tf.Session(graph=graph, config=_alone(session_config(base, name))) for name in precisions}
    try:
        for session in sessions.values():
            session.run(prepare)
        steps = {name: session.make_callable(fetched) for name, session in sessions.items()}
        return {name: images_per_step / took for name, took in _median_seconds(steps, seconds).items()}
    finally:
        for session in sessions.values():
            session.close()


def _median_seconds(steps: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    for step in steps.values():
        for _ in range(_WARMUP_STEPS):
            step()
    took: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    began = time.perf_counter()
    for count in range(_MAX_ROUNDS):
        if count >= _MIN_ROUNDS and time.perf_counter() - began > seconds:
            break
        for name in order:
            step_began = time.perf_counter()
            steps[name]()
            took[name].append(time.perf_counter() - step_began)
        # Whoever comes second finds the caches as the first has left them.
        order.reverse()
    return {name: statistics.median(values) for name, values in took.items()}


def _reduced(device: str) -> str:
    return next(name for name, rewrite in _REWRITES.items() if rewrite.device == device)


def _alone(config: Any) -> Any:
    """Return the options for a session that sees this process only."""
    del config.device_filters[:]
    config.ClearField("experimental")
    config.isolate_session_state = False
    return config
