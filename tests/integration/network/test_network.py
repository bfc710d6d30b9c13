"""The harness itself: messages between two hosts, before and after each fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

_RECEIVE = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("", 2222))
    receiver.settimeout(1)
    print("ready", flush=True)
    try:
        print(receiver.recv(99).decode())
    except TimeoutError:
        print("nothing")
"""
_SEND = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"message", ("{host}", 2222))
"""


@pytest.fixture
def arrives(network):
    """``arrives("ps 0", "worker 0")``: whether a message of the first host comes to the second."""
    for task in ("ps 0", "worker 0"):
        network.address(task)

    def send(source, target):
        listening = [*network.command(target), sys.executable, "-c", _RECEIVE]
        with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout.readline() == "ready\n"
            program = _SEND.format(host=target.replace(" ", ""))
            subprocess.run([*network.command(source), sys.executable, "-c", program], check=True)
            return receiver.stdout.read() == "message\n"

    return send


def test_a_host_whose_link_is_cut_hears_nothing_until_it_is_mended(network, arrives):
    assert arrives("ps 0", "worker 0")
    network.cut("worker 0")
    assert not arrives("ps 0", "worker 0")
    network.mend("worker 0")
    assert arrives("ps 0", "worker 0")


def test_a_half_cut_loses_one_direction_until_it_is_mended(network, arrives):
    network.half_cut("ps 0", "worker 0")
    assert not arrives("ps 0", "worker 0")
    assert arrives("worker 0", "ps 0")
    network.mend("ps 0")
    assert arrives("ps 0", "worker 0")


def test_a_host_is_found_by_its_name_at_its_new_address(network, arrives):
    network.readdress("worker 0")
    assert arrives("ps 0", "worker 0")
    assert arrives("worker 0", "ps 0")


def test_a_name_that_was_taken_resolves_again_when_it_is_given_back(network):
    for task in ("ps 0", "worker 0"):
        network.address(task)

    def resolves():
        look = "import socket; socket.getaddrinfo('ps0', 2222)"
        command = [*network.command("worker 0"), sys.executable, "-c", look]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert resolves()
    network.take_name("ps 0")
    assert not resolves()
    network.give_name("ps 0")
    assert resolves()


_ECHO = """
import socket
with socket.create_server(("", 2222)) as listening:
    print("ready", flush=True)
    connection, _ = listening.accept()
    while received := connection.recv(65536):
        connection.sendall(received)
"""
_ASK = """
import socket, time
with socket.create_connection(("ps0", 2222)) as connection:
    began = time.monotonic()
    connection.sendall(bytes({size}))
    left = {size}
    while left:
        left -= len(connection.recv(65536))
    print(time.monotonic() - began)
"""


@pytest.mark.parametrize(
    ("link", "size", "least_secs"),
    [({"delay_secs": 0.2}, 1, 0.4), ({"bytes_per_sec": 100_000}, 60_000, 0.3), ({}, 1_000_000, 0.0)],
)
def test_what_is_sent_over_a_slow_link_takes_its_time_and_arrives(network, link, size, least_secs):
    for task in ("ps 0", "worker 0"):
        network.address(task)
    network.slow_down("ps 0", **link)
    with subprocess.Popen([*network.command("ps 0"), sys.executable, "-c", _ECHO], stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"ready\n"
        asking = [*network.command("worker 0"), sys.executable, "-c", _ASK.format(size=size)]
        result = subprocess.run(asking, capture_output=True, text=True, check=True)
    assert float(result.stdout) >= least_secs
