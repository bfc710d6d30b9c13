"""Network namespaces: hosts for the tasks of a cluster on one machine, each with an address and a link of its own.

Needs Linux, root and iproute2, see :func:`why_not`. All traffic stays in the namespaces.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_PORT = 2222
_SUBNET = "10.77.0"
# Files that a process in the namespace finds in /etc, see ip-netns(8).
_ETC = Path("/etc/netns")
_NOWHERE = "02:00:00:00:00:99"


class Network:
    """Hosts with a link each to one switch; a host is the network namespace of one task.

    Host names resolve by a file that all hosts share, so a host can come back at another address.
    """

    def __init__(self) -> None:
        self._prefix = f"st{os.getpid()}-"
        self._addresses: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._nameless: set[str] = set()
        self._relays: dict[str, str] = {}
        self._processes: list[subprocess.Popen[str]] = []
        self._made = 0
        self._given = 1
        self._switch = f"{self._prefix}switch"
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")

    def address(self, task: str) -> str:
        """Make a host for ``task``, and return its host:port."""
        self._made += 1
        self._numbers[task] = self._made
        name, port = self._namespace(task), self._port(task)
        _ip("netns", "add", name)
        folder = _ETC / name
        folder.mkdir(parents=True)
        (folder / "hosts").touch()
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # Nobody answers there.
        _ip("link", "add", port, "netns", self._switch, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", self._switch, "link", "set", port, "master", "bridge", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "link", "set", "eth0", "up")
        self._addresses[task] = ""
        self.readdress(task)
        return f"{_host(task)}:{_PORT}"

    def command(self, task: str) -> list[str]:
        """Return the words that start a program on the host of ``task``."""
        return ["ip", "netns", "exec", self._namespace(task)]

    def cut(self, task: str) -> None:
        """Unplug the host: nothing comes or goes, and nobody is told."""
        _ip("-n", self._switch, "link", "set", self._port(task), "down")

    def mend(self, task: str) -> None:
        """Plug the host in again, and undo what half_cut did to what it sends."""
        _ip("-n", self._switch, "link", "set", self._port(task), "up")
        _ip("-n", self._namespace(task), "neigh", "flush", "dev", "eth0", "nud", "permanent")

    def half_cut(self, source: str, target: str) -> None:
        """Lose what ``source`` sends to ``target``, but not what comes back."""
        neighbor = ("neigh", "replace", self._addresses[target], "lladdr", _NOWHERE, "dev", "eth0", "nud", "permanent")
        _ip("-n", self._namespace(source), *neighbor)

    def readdress(self, task: str) -> None:
        """Give the host an address that it never had, and its name with it."""
        self._given += 1
        name, old = self._namespace(task), self._addresses[task]
        if old:
            _ip("-n", name, "addr", "del", f"{old}/24", "dev", "eth0")
        self._addresses[task] = f"{_SUBNET}.{self._given}"
        _ip("-n", name, "addr", "add", f"{self._addresses[task]}/24", "dev", "eth0")
        self._write_names()

    def take_name(self, *tasks: str) -> None:
        """Let the names of hosts no longer resolve, as if no name server answered."""
        self._nameless |= set(tasks)
        self._write_names()

    def give_name(self, *tasks: str) -> None:
        """Let the names of hosts resolve again."""
        self._nameless -= set(tasks)
        self._write_names()

    def slow_down(self, task: str, delay_secs: float = 0.0, bytes_per_sec: int = 0) -> None:
        """Let the host be reached over a slow link: a relay that gets its name. Undone by nothing.

        tc would do without the relay, but not every kernel has its netem.
        """
        relay = f"relay of {task}"
        self.address(relay)
        script = Path(__file__).with_name("_relay.py")
        words = map(str, (script, self._addresses[task], _PORT, delay_secs, bytes_per_sec))
        process = subprocess.Popen([*self.command(relay), sys.executable, *words], stdout=subprocess.PIPE, text=True)
        assert process.stdout and process.stdout.readline() == "ready\n"
        self._processes.append(process)
        self._relays[task] = self._addresses[relay]
        self._write_names()

    def rename(self, task: str, name: str) -> None:
        """Give the host another name, to make another one for ``task`` while this one stays."""
        for of_host in (self._addresses, self._numbers):
            of_host[name] = of_host.pop(task)

    def traffic(self, task: str) -> tuple[int, int]:
        """Return the bytes that the host has received and sent so far, by the counters of its link."""
        [link] = json.loads(_ip("-n", self._namespace(task), "-s", "-j", "link", "show", "eth0"))
        return link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"]

    def close(self) -> None:
        """Kill what runs on the hosts, and remove them."""
        _remove(self._prefix)
        for process in self._processes:
            process.communicate()

    def _write_names(self) -> None:
        reached_at = {**self._addresses, **self._relays}
        named = {task: address for task, address in reached_at.items() if task not in self._nameless}
        hosts = ["127.0.0.1 localhost", *(f"{address} {_host(task)}" for task, address in named.items())]
        for task in self._addresses:
            # Written in place: running processes have this very file as their /etc/hosts.
            (_ETC / self._namespace(task) / "hosts").write_text("\n".join(hosts) + "\n")

    def _namespace(self, task: str) -> str:
        return f"{self._prefix}host{self._numbers[task]}"

    def _port(self, task: str) -> str:
        return f"port{self._numbers[task]}"


def _host(task: str) -> str:
    return task.replace(" ", "")


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def _remove(prefix: str) -> None:
    for name in [line.split()[0] for line in _ip("netns", "list").splitlines() if line.startswith(prefix)]:
        for pid in _ip("netns", "pids", name).split():
            os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "delete", name)
        shutil.rmtree(_ETC / name, ignore_errors=True)


def remove_forgotten() -> None:
    """Remove the namespaces of processes that were killed."""
    for pid in set(re.findall(r"^st(\d+)-", _ip("netns", "list"), re.MULTILINE)):
        if not Path(f"/proc/{pid}").exists():
            _remove(f"st{pid}-")


def why_not() -> str | None:
    """Return why namespaces cannot be made here, or None if they can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "network namespaces need iproute2 (the command ip)"
    probe = f"st{os.getpid()}-probe"
    try:
        _ip("netns", "add", probe)
        try:
            _ip("-n", probe, "link", "add", "bridge", "type", "bridge")
            _ip("-n", probe, "link", "add", "port", "type", "veth", "peer", "name", "eth0")
        finally:
            _ip("netns", "delete", probe)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    return None
