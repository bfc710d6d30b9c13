"""The module that Spark starts as its Python daemon: it has the parent of workers fork one. No TensorFlow.

Spark's Java starts it by name, with the current folder first on the path: it is copied to where it is found, and
imports nothing of ours. If there is no parent it is the daemon.
"""

from __future__ import annotations

import json
import os
import socket
import sys

ADDRESS = "SLIM_TRAIN_WORKER_PARENT"
DAEMON = b"d"


def main() -> None:
    """Hand stdin, stdout, stderr and the environment to a daemon that the parent forks; stay as long as it does."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(os.environ[ADDRESS])
            socket.send_fds(connection, [DAEMON], [0, 1, 2])
            with connection.makefile("wb") as file:
                file.write(json.dumps({"environment": dict(os.environ), "arguments": sys.argv[1:]}).encode())
            connection.shutdown(socket.SHUT_WR)
        except (KeyError, OSError):
            is_daemon = True
        else:
            is_daemon = False
            while connection.recv(1):
                pass
    if is_daemon:
        from pyspark.daemon import manager

        manager()


if __name__ == "__main__":
    main()
