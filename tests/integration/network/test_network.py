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
