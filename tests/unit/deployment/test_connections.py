import socket
from pathlib import Path

import pytest

from deployment import connections


@pytest.fixture(params=["127.0.0.1", "::ffff:127.0.0.1"])
def connected(request):
    """A connection to a server on loopback, one of an IPv6 socket too; and the server's side of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.connect((request.param, listening.getsockname()[1]))
            accepted, _ = listening.accept()
            accepted.settimeout(30)
            connection.settimeout(30)
            with accepted:
                yield connection, accepted


def test_a_connection_to_an_address_is_shut_down_for_both_sides(connected):
    connection, accepted = connected
    port = accepted.getsockname()[1]
    assert connections.shut_down(connections.resolve("localhost", port)) == 1
    assert accepted.recv(1) == b""
    assert connection.recv(1) == b""


def test_connections_to_other_addresses_stay(connected):
    connection, accepted = connected
    host, port = accepted.getsockname()
    assert connections.shut_down({(host, port + 1), ("10.0.0.1", port)}) == 0
    connection.sendall(b"1")
    assert accepted.recv(1) == b"1"


def _open_files():
    return len(list(Path("/dev/fd").iterdir()))


def test_looking_leaves_no_file_open(tmp_path):
    with (tmp_path / "file").open("w"), socket.socketpair()[0], socket.create_server(("127.0.0.1", 0)):
        before = _open_files()
        assert connections.shut_down({("10.0.0.1", 1)}) == 0
        assert _open_files() == before


def test_a_name_that_does_not_resolve_has_no_addresses():
    assert connections.resolve("nowhere.invalid", 1) == frozenset()
