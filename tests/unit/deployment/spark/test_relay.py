from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployment.spark import relay
from deployment.spark.worker_parent import WorkerParent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")

DAEMON = """
import os
import sys

def manager():
    print(sys.stdin.readline().strip(), os.environ["COLOR"], sys.argv[1], "fractions" in sys.modules, flush=True)
"""


@pytest.fixture
def site(tmp_path: Path) -> str:
    """A folder with a daemon in place of Spark's, which says what it sees."""
    (tmp_path / "site" / "pyspark").mkdir(parents=True)
    (tmp_path / "site" / "pyspark" / "__init__.py").touch()
    (tmp_path / "site" / "pyspark" / "daemon.py").write_text(DAEMON)
    return str(tmp_path / "site")


def said_by(words: list[str], environment: dict[str, str]) -> str:
    environment = {**os.environ, "COLOR": "green", **environment}
    command = [sys.executable, *words, "pyspark.worker"]
    return subprocess.run(
        command, env=environment, input="hello\n", capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_a_fork_of_the_parent_takes_the_place_of_the_daemon(site: str, tmp_path: Path) -> None:
    with WorkerParent(["fractions"], {"PYTHONPATH": site}) as parent:
        settings = parent.settings()
        prefix = "spark.executorEnv."
        environment = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
        said = said_by(["-m", settings["spark.python.daemon.module"]], environment)
    assert said == "hello green pyspark.worker True\n"


def test_without_a_parent_the_relay_is_the_daemon(site: str, tmp_path: Path) -> None:
    gone = {"PYTHONPATH": site, relay.ADDRESS: str(tmp_path / "gone")}
    assert said_by([relay.__file__], gone) == "hello green pyspark.worker False\n"
