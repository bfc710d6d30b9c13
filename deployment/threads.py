"""How many CPU threads a process is to use, said in the environment before it starts. No TensorFlow."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that hold a training process to a number of CPU threads.

    TensorFlow sizes its pools for work inside an operation and across operations by the first two, the pools of a
    ``tf.distribute.Server`` included, where the session's own settings do not say otherwise. A second thread across
    operations lets one operation that waits not hold up the rest. NumPy's linear algebra goes by the third.
    """
    return {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(max(2, threads)),
        "OMP_NUM_THREADS": str(threads),
    }
