"""launch_cluster with real processes: small programs that stand for the roles."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deployment.cluster import parse_tf_config

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT = 60.0

# What the program of each role can use.
PREAMBLE = """
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path

TASK = json.loads(os.environ["TF_CONFIG"])["task"]
NAME = f"{TASK['type']}{TASK['index']}"
HERE = Path(__file__).parent


def note(what, text=""):
    (HERE / f"{NAME}.{what}").open("a").write(f"{text}\\n")


def wait_for(*names):
    while not all((HERE / name).exists() for name in names):
        time.sleep(0.01)


def sleep_for_ever():
    while True:
        time.sleep(100)


starts = len((HERE / f"{NAME}.start").read_text().split()) if (HERE / f"{NAME}.start").exists() else 0
note("start", os.getpid())
"""


class Launcher:
    """Starts launch_cluster on a program for the roles and waits for its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def start(self, program: str, *flags: str, **popen: object) -> subprocess.Popen[str]:
        role = self.folder / "role.py"
        role.write_text(PREAMBLE + textwrap.dedent(program))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        # Who runs the tests in the background ignores Ctrl-C, and so would the launcher.
        listening = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
        process = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, ROOT / "scripts/launch_cluster.py", *flags, "--", sys.executable, "-S", role],
            **{**pipes, **listening, **popen},
        )
        self.running.append(process)
        return process

    def run(self, program: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return finished(self.start(program, *flags))

    def wait_for(self, *names: str) -> None:
        """Wait until the roles have left these notes."""
        within_time_limit(lambda: all((self.folder / name).exists() for name in names))

    def notes(self, name: str) -> list[str]:
        return (self.folder / name).read_text().splitlines()

    def role_pids(self) -> list[int]:
        return [int(pid) for path in self.folder.glob("*.start") for pid in path.read_text().split()]


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    stdout, stderr = process.communicate(timeout=TIME_LIMIT)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def within_time_limit(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIME_LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # A zombie has ended; its new parent has yet to notice.
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.fixture
def launcher(tmp_path):
    # Under nohup the signal would be ignored here and in all that is started.
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    launcher = Launcher(tmp_path)
    yield launcher
    signal.signal(signal.SIGHUP, hangup)
    for process in launcher.running:
        process.kill()
        process.communicate()
    left = [pid for pid in launcher.role_pids() if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "roles were left behind"


def test_each_role_gets_its_tf_config(launcher):
    result = launcher.run("note('config', os.environ['TF_CONFIG'])", "--num_ps=2", "--chief", "--evaluator")
    assert result.returncode == 0, result.stderr
    texts = {path.stem: path.read_text() for path in launcher.folder.glob("*.config")}
    assert set(texts) == {"ps0", "ps1", "chief0", "worker0", "worker1", "evaluator0"}
    [cluster] = {json.dumps(json.loads(text)["cluster"], sort_keys=True) for text in texts.values()}
    addresses = [address for of_type in json.loads(cluster).values() for address in of_type]
    assert len(set(addresses)) == 6
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", address) for address in addresses)
    roles = {name: parse_tf_config(text).role for name, text in texts.items()}
    assert roles == {
        "ps0": "ps", "ps1": "ps", "chief0": "chief", "worker0": "worker", "worker1": "worker", "evaluator0": "evaluator"
    }  # fmt: skip


def test_without_parameter_servers_workers_share_by_all_reduce(launcher):
    assert launcher.run("note('config', os.environ['TF_CONFIG'])", "--num_ps=0", "--num_workers=2").returncode == 0
    [tf_config] = launcher.notes("worker1.config")
    assert parse_tf_config(tf_config).strategy == "all_reduce"


def test_a_role_can_listen_on_its_port_and_again_after_a_restart(launcher):
    listening = """
        config = json.loads(os.environ["TF_CONFIG"])
        host, port = config["cluster"][TASK["type"]][TASK["index"]].split(":")
        listener = socket.create_server(("", int(port)))
        socket.create_connection((host, int(port)))
        note("port", port)
        if starts:
            note("again")
            wait_for("worker1.again")  # a job whose chief has ended restarts nobody
        sys.exit(0 if starts else 1)
    """
    result = launcher.run(listening, "--num_ps=0", "--num_workers=2", "--max_restarts=1")
    assert result.returncode == 0, result.stdout + result.stderr
    for role in ("worker0", "worker1"):
        first, second = launcher.notes(f"{role}.port")
        assert first == second


def test_lines_carry_their_role_and_stay_on_their_stream(launcher):
    result = launcher.run("print('out', NAME); print('err', NAME, file=sys.stderr)", "--num_workers=1")
    assert sorted(result.stdout.splitlines()) == ["[ps 0]     out ps0", "[worker 0] out worker0"]
    assert "[ps 0]     err ps0\n" in result.stderr
    assert "[worker 0] err worker0\n" in result.stderr


def test_long_lines_of_many_roles_stay_whole(launcher):
    result = launcher.run(
        "for _ in range(5): os.write(1, NAME.encode() * 20_000); os.write(1, b'!\\n')", "--num_ps=0", "--num_workers=4"
    )
    expected = [f"[worker {index}] " + f"worker{index}" * 20_000 + "!" for index in range(4) for _ in range(5)]
    assert sorted(result.stdout.splitlines()) == expected


def test_a_last_line_without_its_end_is_printed(launcher):
    assert launcher.run("os.write(1, b'half')", "--num_ps=0", "--num_workers=1").stdout == "[worker 0] half\n"


def test_output_that_is_not_text_passes_through(launcher):
    process = launcher.start(r"os.write(1, b'\xff\x00\n')", "--num_ps=0", "--num_workers=1", text=False)
    assert process.communicate(timeout=TIME_LIMIT)[0] == b"[worker 0] \xff\x00\n"


def test_roles_are_coloured_on_a_terminal_only(launcher, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    controller, terminal = pty.openpty()
    process = launcher.start("print(1); print(2, file=sys.stderr)", "--num_ps=0", "--num_workers=1", stdout=terminal)
    errors = process.communicate(timeout=TIME_LIMIT)[1]
    assert re.search(rb"\x1b\[\d+m\[worker 0\]\x1b\[0m 1\r\n", os.read(controller, 10_000))
    assert "[worker 0] 2\n" in errors
    os.close(controller)
    os.close(terminal)


def test_a_failed_role_is_restarted_and_the_log_says_so(launcher):
    result = launcher.run(
        """
        if NAME == "worker0":
            wait_for("worker1.done")
        elif starts < 2:
            sys.exit(3)
        else:
            note("done")
        """,
        "--num_ps=0", "--max_restarts=2",
    )  # fmt: skip
    assert result.returncode == 0
    assert len(launcher.notes("worker1.start")) == 3
    assert "worker 1: failed, exit code 3; restart 2 of 2." in result.stderr


def test_a_killed_role_is_restarted(launcher):
    result = launcher.run(
        "starts or os.kill(os.getpid(), signal.SIGKILL)", "--num_ps=0", "--num_workers=1", "--max_restarts=1"
    )
    assert result.returncode == 0
    assert "worker 0: failed, killed by SIGKILL; restart 1 of 1." in result.stderr


def test_bad_usage_is_not_tried_again(launcher):
    result = launcher.run("sys.exit(2)", "--num_ps=0", "--num_workers=1", "--max_restarts=5")
    assert result.returncode == 2
    assert len(launcher.notes("worker0.start")) == 1


def test_the_chief_that_fails_for_good_ends_the_job_with_its_exit_code(launcher):
    result = launcher.run("sys.exit(7) if NAME == 'chief0' else sleep_for_ever()", "--chief", "--max_restarts=1")
    assert result.returncode == 7
    assert len(launcher.notes("chief0.start")) == 2
    assert "chief: failed, exit code 7; the job cannot go on." in result.stderr


def test_a_parameter_server_that_fails_for_good_fails_the_job(launcher):
    result = launcher.run(
        """
        if NAME == "ps0":
            wait_for("worker0.ready")
            sys.exit(5)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        note("ready")
        sleep_for_ever()
        """,
        "--num_workers=1",
    )
    assert result.returncode == 5


def test_the_job_goes_on_without_a_worker_that_fails_for_good(launcher):
    result = launcher.run(
        "sys.exit(1) if NAME == 'worker1' else wait_for('worker1.start')", "--num_ps=0", "--num_workers=2"
    )
    assert result.returncode == 0
    assert "worker 1: " in result.stderr


def test_roles_that_outstay_the_chief_are_terminated(launcher):
    result = launcher.run("NAME == 'worker0' or sleep_for_ever()", "--finish_secs=0.2")
    assert result.returncode == 0
    assert "ps 0, worker 1: still there 0.2 s after the end, terminated." in result.stderr


COUNT_SIGNALS = """
    def ended(number, _frame):
        note("signal", signal.Signals(number).name)
        time.sleep(0.2)  # a second one would come meanwhile
        sys.exit(4 if NAME == "worker0" else 0)

    signal.signal(signal.SIGINT, ended)
    signal.signal(signal.SIGTERM, ended)
    note("ready")
    sleep_for_ever()
"""
IGNORE_SIGNALS = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("ready")
    sleep_for_ever()
"""


@pytest.mark.parametrize(("sent", "passed_on"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGHUP", "SIGTERM")])
def test_a_signal_is_passed_on_to_every_role_once(launcher, sent, passed_on):
    process = launcher.start(COUNT_SIGNALS, "--num_workers=2", "--max_restarts=3")
    launcher.wait_for("ps0.ready", "worker0.ready", "worker1.ready")
    process.send_signal(signal.Signals[sent])
    assert finished(process).returncode == 4
    for role in ("ps0", "worker0", "worker1"):
        assert launcher.notes(f"{role}.signal") == [passed_on]
        assert len(launcher.notes(f"{role}.start")) == 1


def test_a_parameter_server_gets_the_signal_when_the_others_have_ended(launcher):
    program = """
        def ended(number, _frame):
            note("order", sorted(path.name for path in HERE.glob("*.done")))
            if NAME != "ps0":
                time.sleep(0.2)
                note("done")
            sys.exit(0)

        signal.signal(signal.SIGTERM, ended)
        note("ready")
        sleep_for_ever()
    """
    process = launcher.start(program, "--num_workers=2")
    launcher.wait_for("ps0.ready", "worker0.ready", "worker1.ready")
    process.send_signal(signal.SIGTERM)
    assert finished(process).returncode == 0
    assert launcher.notes("ps0.order") == ["['worker0.done', 'worker1.done']"]


def test_a_second_ctrl_c_kills(launcher):
    errors = launcher.folder / "errors"
    process = launcher.start(IGNORE_SIGNALS, "--num_workers=1", stderr=errors.open("w"))
    launcher.wait_for("ps0.ready", "worker0.ready")
    process.send_signal(signal.SIGINT)
    within_time_limit(lambda: "SIGINT: passed on to ps 0, worker 0" in errors.read_text())
    process.send_signal(signal.SIGINT)
    assert finished(process).returncode == 128 + signal.SIGKILL
    assert "Ctrl-C again: killing ps 0, worker 0." in errors.read_text()


def test_roles_that_ignore_the_signal_are_killed_after_the_grace(launcher):
    process = launcher.start(IGNORE_SIGNALS, "--num_workers=1", "--grace_secs=0.2")
    launcher.wait_for("ps0.ready", "worker0.ready")
    process.send_signal(signal.SIGTERM)
    result = finished(process)
    assert result.returncode == 128 + signal.SIGKILL
    assert "ps 0, worker 0: still there after 0.2 s, killed." in result.stderr


def test_a_signal_that_is_ignored_stays_ignored(launcher):
    process = launcher.start(
        "note('ready'); wait_for('go')",
        "--num_ps=0", "--num_workers=1", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    launcher.wait_for("worker0.ready")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    (launcher.folder / "go").touch()
    assert finished(process).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_roles_end_with_a_launcher_that_is_killed(launcher):
    process = launcher.start(IGNORE_SIGNALS, "--num_workers=2")
    launcher.wait_for("ps0.ready", "worker0.ready", "worker1.ready")
    process.kill()
    finished(process)
    within_time_limit(lambda: not any(map(is_alive, launcher.role_pids())))


def test_what_a_role_started_ends_with_it(launcher):
    result = launcher.run("note('start', subprocess.Popen(['sleep', '1000']).pid)", "--num_ps=0", "--num_workers=1")
    assert result.returncode == 0
    assert len(launcher.role_pids()) == 2  # that none is alive, the fixture checks


def test_a_reader_that_leaves_ends_the_job(launcher):
    process = launcher.start("while True: print('x' * 100)", "--num_ps=0", "--num_workers=2")
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(TIME_LIMIT) == 128 + signal.SIGTERM


def test_a_program_that_cannot_run_is_one_line(launcher):
    broken = launcher.folder / "broken"
    broken.write_text("no program")
    broken.chmod(0o755)
    result = subprocess.run(
        [sys.executable, ROOT / "scripts/launch_cluster.py", "--", broken], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == f"launch_cluster: error: Cannot start {broken}: Exec format error.\n"


REPORT_STEPS = """
    pipe = int(os.environ["SLIM_TRAIN_STATUS_PIPE"].partition(":")[0])
    step = 100 * starts
    while not (HERE / "end").exists():
        step += 1
        os.write(pipe, json.dumps({"state": "training", "step": step, "last_step": 900}).encode() + b"\\n")
        time.sleep(0.05)
"""


def test_the_status_file_follows_each_task_to_its_end(launcher):
    file = launcher.folder / "status.json"
    process = launcher.start(REPORT_STEPS, "--num_ps=0", "--max_restarts=1", f"--status_file={file}")

    def task(name):
        status = json.loads(file.read_text()) if file.exists() else {}
        return next((one for one in status.get("tasks", []) if one["name"] == name), {})

    within_time_limit(lambda: (task("worker 0").get("step") or 0) > 5)
    step = task("worker 0")["step"]
    within_time_limit(lambda: task("worker 0")["step"] > step)
    assert task("worker 1")["state"] == "training"
    os.kill(task("worker 1")["pid"], signal.SIGKILL)
    within_time_limit(lambda: task("worker 1")["restarts"] == 1 and (task("worker 1")["step"] or 0) > 100)
    assert task("worker 1")["exit_code"] == -signal.SIGKILL
    (launcher.folder / "end").touch()
    assert finished(process).returncode == 0
    status = json.loads(file.read_text())
    assert (status["exit_code"], status["global_step"] > step) == (0, True)
    assert {(one["state"], one["exit_code"]) for one in status["tasks"]} == {("finished", 0)}


def test_a_status_file_that_cannot_be_written_is_refused(launcher):
    result = launcher.run("", f"--status_file={launcher.folder}/missing/status.json")
    assert result.returncode == 2
    assert "missing/status.json cannot be written: No such file or directory." in result.stderr


def test_a_terminal_shows_the_state_of_each_task_below_the_output_and_is_left_clean(launcher, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    controller, terminal = pty.openpty()
    program = "print('hello', NAME)\nprint('error', NAME, file=sys.stderr)\nnote('ready')\n" + textwrap.dedent(
        REPORT_STEPS
    )
    process = launcher.start(program, "--num_ps=0", stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    while b"training" not in shown:
        shown += os.read(controller, 10_000)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # Linux: everybody has closed the terminal.
        while data := os.read(controller, 10_000):
            shown += data
    assert finished(process).returncode == 128 + signal.SIGINT
    os.close(controller)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    for words in ("[worker 0] hello worker0", "[worker 1] error worker1", "worker 0: started", "last warning"):
        assert words in text
    assert re.search(r"worker 1 +127.0.0.1:\d+ +stopped: killed by SIGINT", text)
    # The cursor is there again, and on a line of its own.
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0
    assert re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).endswith(b"\n")


@pytest.mark.parametrize("dashboard", ["--dashboard", "--nodashboard"])
def test_a_terminal_that_is_closed_leaves_the_roles_time_to_save(launcher, monkeypatch, dashboard):
    monkeypatch.setenv("TERM", "xterm")
    controller, terminal = pty.openpty()
    program = """
        def stop(number, _frame):
            print("saving", flush=True)
            time.sleep(1)
            note("saved")
            sys.exit(0)

        signal.signal(signal.SIGTERM, stop)
        note("ready")
        sleep_for_ever()
    """
    process = launcher.start(program, "--num_ps=0", "--num_workers=1", dashboard, stdout=terminal, stderr=terminal)
    os.close(terminal)
    launcher.wait_for("worker0.ready")
    os.close(controller)
    process.send_signal(signal.SIGHUP)  # as the kernel does if the terminal is the session's
    process.wait(TIME_LIMIT)
    assert (launcher.folder / "worker0.saved").exists()


def test_without_a_dashboard_a_terminal_gets_the_lines_alone(launcher, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    controller, terminal = pty.openpty()
    process = launcher.start("print(1)", "--num_ps=0", "--nodashboard", stdout=terminal, stderr=terminal)
    assert process.wait(TIME_LIMIT) == 0
    assert b"last warning" not in os.read(controller, 100_000)
    os.close(controller)
    os.close(terminal)
