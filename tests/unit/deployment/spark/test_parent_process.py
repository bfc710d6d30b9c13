from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployment.spark.parent_process import CALL

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_the_process_outlives_requests_that_it_does_not_understand(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        (tmp_path / "folder").mkdir()
        listener.bind(str(tmp_path / "folder" / "parent"))
        listener.listen()
        code = f"from deployment.spark.parent_process import main; main({listener.fileno()}, [])"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    for request in (b"", b"x", CALL + b"no pickle"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "folder" / "parent"))
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    assert process.poll() is None
    process.communicate()  # ends its stdin
    assert process.returncode != 0
    assert not (tmp_path / "folder").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
