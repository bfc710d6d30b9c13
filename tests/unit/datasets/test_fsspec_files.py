"""What the stores of fsspec do differently, on its file system in memory."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datasets import file_errors, fsspec_files
from datasets.file_status import FileStatus


def test_a_scheme_that_is_unknown_is_served_by_nothing() -> None:
    pytest.importorskip("fsspec")
    assert fsspec_files.missing_package("nowhere") == ""
    assert fsspec_files.missing_package("memory") is None


def test_what_a_store_says_of_a_file_is_known() -> None:
    pytest.importorskip("fsspec")
    fsspec_files.write("memory://files/status", b"four")
    found = fsspec_files.status("memory://files/status")
    assert isinstance(found, FileStatus)
    assert (found.st_size, found.is_folder) == (4, False)
    assert found.st_mtime > 1.7e9


def test_an_upload_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")

    def fails(*arguments: object) -> None:
        raise RuntimeError("no more\nspace.")

    fsspec_files.write("memory://files/failing/a", b"old")
    monkeypatch.setattr(type(files), "mv", fails)
    with pytest.raises(OSError, match="no more space") as error:
        fsspec_files.write("memory://files/failing/a", b"new")
    assert (error.value.filename, error.value.strerror) == ("memory://files/failing/a", "no more space")
    assert fsspec_files.entries("memory://files/failing") == [("a", False)]
    assert fsspec_files.read("memory://files/failing/a") == b"old"


def _fails(error: Exception) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    return fail


def test_an_error_of_a_client_that_is_made_otherwise_than_those_of_files_is_one_of_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")
    exceptions = pytest.importorskip("botocore.exceptions")
    aiohttp = pytest.importorskip("aiohttp")
    for error in (
        exceptions.ReadTimeoutError(endpoint_url="http://x"),
        exceptions.ConnectTimeoutError(endpoint_url="http://x"),
        aiohttp.ServerTimeoutError("Timeout on reading"),
        aiohttp.ClientOSError(errno.ENOENT, "no such host"),
    ):
        monkeypatch.setattr(type(files), "info", _fails(error))
        with pytest.raises(OSError, match="http://x|imeout|no such host") as raised:
            fsspec_files.status("memory://files/a")
        assert (raised.value.errno, raised.value.filename) == (errno.EIO, "memory://files/a")


class _Refused(Exception):
    """As ftplib.error_perm: nothing of Python's errors of files."""


def test_a_client_whose_errors_for_missing_files_are_its_own_serves_the_scheme_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = type(pytest.importorskip("fsspec").filesystem("memory"))
    for name in ("ls", "open", "cat_file", "get_file", "rm_file", "mv"):
        monkeypatch.setattr(files, name, _fails(_Refused("550 No such file or directory.")))
    missing = "memory://files/of_ftp"
    for operation in (fsspec_files.entries, fsspec_files.reader, fsspec_files.read, fsspec_files.remove):
        with pytest.raises(FileNotFoundError) as error:
            operation(missing)
        assert error.value.filename == missing
    with pytest.raises(FileNotFoundError):
        fsspec_files.download(missing, Path("unused"))
    with pytest.raises(FileNotFoundError):
        fsspec_files.rename(missing, "memory://files/other")
    fsspec_files.make_folder("memory://files")
    with pytest.raises(OSError, match="550") as refused:
        fsspec_files.remove("memory://files")  # is there, and cannot be removed so
    assert not isinstance(refused.value, FileNotFoundError)


def test_a_file_is_copied_by_way_of_this_machine_if_its_client_cannot_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")
    fsspec_files.write("memory://files/copied/a", b"four")
    monkeypatch.setattr(type(files), "cp_file", _fails(NotImplementedError()))
    fsspec_files.copy("memory://files/copied/a", "memory://files/copied/b")
    assert fsspec_files.read("memory://files/copied/b") == b"four"


def test_a_store_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")
    monkeypatch.setattr(file_errors, "_WAITS_SECS", (0.0, 0.0))
    fsspec_files.write("memory://files/busy", b"four")
    errors, info = [OSError(errno.EBUSY, "SlowDown"), OSError(errno.EREMOTEIO, "InternalError")], type(files).info

    def sometimes(client: object, path: str) -> object:
        if errors:
            raise errors.pop()
        return info(client, path)

    monkeypatch.setattr(type(files), "info", sometimes)
    assert fsspec_files.status("memory://files/busy").st_size == 4
    assert not errors


@pytest.fixture
def silent_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A store at s3:// that takes connections and says nothing."""
    pytest.importorskip("s3fs")
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setitem(fsspec_files._S3_CONFIG, "read_timeout", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        fsspec_files._forget_clients()
        yield server
    fsspec_files._forget_clients()


def _connections(server: socket.socket) -> int:
    server.settimeout(0.1)
    number = 0
    try:
        while True:
            server.accept()[0].close()
            number += 1
    except TimeoutError:
        return number


def test_a_store_that_says_nothing_is_tried_five_times_and_named(silent_store: socket.socket) -> None:
    with pytest.raises(OSError, match="imeout") as error:
        fsspec_files.status("s3://bucket/a")
    assert error.value.filename == "s3://bucket/a"
    assert _connections(silent_store) == 5


# None if a slow machine has not connected within the second.
@pytest.mark.parametrize(("num_bytes", "connections"), [(1000, {5}), (30_000_000, {0, 1})])
def test_an_upload_to_a_store_that_says_nothing_ends(
    silent_store: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_bytes: int, connections: set[int]
) -> None:
    if num_bytes > 1000:  # more than the network takes: nothing waits for an answer yet
        monkeypatch.setattr(fsspec_files, "_upload_secs", lambda num_bytes: 1.0)
    (tmp_path / "a").write_bytes(bytes(num_bytes))
    with pytest.raises(OSError, match="imeout") as error:
        fsspec_files.copy(tmp_path / "a", "s3://bucket/a")
    assert error.value.filename == "s3://bucket/a"
    assert _connections(silent_store) in connections


def test_an_operation_on_a_store_that_says_nothing_ends_within_a_minute() -> None:
    waits_of_s3fs = sum(0.1 * 1.7**number for number in range(5))
    assert 5 * fsspec_files._S3_CONFIG["read_timeout"] + waits_of_s3fs < 60


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?"])
def test_brackets_and_stars_in_a_name_are_no_pattern(name: str) -> None:
    pytest.importorskip("fsspec")
    folder = "memory://files/magic"
    for path in ("run1/a", f"{name}/a", f"{name}/sub/b"):
        fsspec_files.write(f"{folder}/{path}", path.encode())
    fsspec_files.rename(f"{folder}/{name}/a", f"{folder}/{name}/c")
    assert fsspec_files.entries(f"{folder}/run1") == [("a", False)]
    assert fsspec_files.read(f"{folder}/{name}/c") == f"{name}/a".encode()
    fsspec_files.remove_folder(f"{folder}/{name}")
    assert fsspec_files.entries(folder) == [("run1", True)]
    fsspec_files.remove_folder(folder)
    assert not fsspec_files.is_folder(folder)
    fsspec_files.remove_folder(folder)
