from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployment.threads import thread_environment
from slim_train.bulk.feature_net import load_feature_net
from slim_train.bulk.options import FeatureNetOptions
from slim_train.bulk.worker_imports import load_net
from slim_train.training_options import UserCodeOptions

ROOT = Path(__file__).resolve().parents[3]


def test_the_net_is_the_one_that_the_flags_name(mobilenet_folder: Path) -> None:
    options = FeatureNetOptions(checkpoint_path=str(mobilenet_folder), precision="fp32")
    assert load_net(options, UserCodeOptions()).facts() == load_feature_net(options, UserCodeOptions()).facts()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_the_imports_start_no_thread_of_tensorflow_or_numpy_and_no_session() -> None:
    """A fork would lack them, and wait for them."""
    code = (
        "from pathlib import Path\n"
        "import slim_train.bulk.worker_imports\n"
        "from tensorflow.python.eager import context\n"
        "assert context.context()._context_handle is None\n"
        "print(*sorted((task / 'comm').read_text().strip() for task in Path('/proc/self/task').iterdir()))\n"
    )
    environment = {**os.environ, **thread_environment(1), "TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    # That of Arrow's allocator, which forks with the process.
    assert [name for name in said.stdout.split() if name != "jemalloc_bg_thd"] in (["python"], ["python3"])
