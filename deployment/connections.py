"""TCP connections of this process, found among its open files. No TensorFlow.

TensorFlow's gRPC owns the connections to the other tasks and does not hand them out. Shut down here, they fail every
call that waits on them at once, as if the other side had closed them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

# IP address and port.
Address = tuple[str, int]

_OPEN_FILES = Path("/dev/fd")  # Linux and macOS.


def resolve(host: str, port: int) -> frozenset[Address]:
    """Return the addresses of a host name; none if it does not resolve."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(_address(info[4]) for info in found)


def shut_down(addresses: Collection[Address]) -> int:
    """Shut down this process's connections to ``addresses``, and return their number."""
    count = 0
    for connection in _connections():
        with contextlib.suppress(OSError):  # Not connected, or no longer.
            if _address(connection.getpeername()) in addresses:
                connection.shutdown(socket.SHUT_RDWR)
                count += 1
    return count


def _connections() -> Iterator[socket.socket]:
    for entry in list(_OPEN_FILES.iterdir()):
        try:
            # A duplicate: meanwhile the number may belong to another file.
            number = os.dup(int(entry.name))
        except OSError:  # Closed.
            continue
        try:
            connection = socket.socket(fileno=number)
        except OSError:  # Not a socket.
            os.close(number)
            continue
        with connection:
            if connection.type == socket.SOCK_STREAM and connection.family in (socket.AF_INET, socket.AF_INET6):
                yield connection


def _address(name: tuple[object, ...]) -> Address:
    """Return the address in a socket's name. An IPv4 address that an IPv6 socket has is that of IPv4."""
    host, port = str(name[0]).partition("%")[0], name[1]
    assert isinstance(port, int)
    parsed = ipaddress.ip_address(host)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed), port
