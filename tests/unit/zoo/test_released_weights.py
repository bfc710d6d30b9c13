"""Released weights, fetched from a real HTTP server on this machine."""

from __future__ import annotations

import dataclasses
import errno
import functools
import http.server
import json
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.cli.slim_models import COMMAND
from slim_train.errors import RunError
from slim_train.nets import factory
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import tf
from slim_train.zoo import released_weights
from slim_train.zoo.released_weights import download_checkpoint

_NET = "lenet"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a server of the files in ``tmp_path / "site"``."""
    (tmp_path / "site").mkdir()
    handler = functools.partial(_Handler, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def release(tmp_path: Path, address: str) -> Callable[..., NetRecord]:
    """``release({"name in the archive": bytes})``: the record of a net whose weights are that archive."""

    def make(files: dict[str, bytes]) -> NetRecord:
        source = tmp_path / "source"
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        with tarfile.open(tmp_path / "site/lenet.tar.gz", "w:gz") as archive:
            for path in sorted(source.iterdir()):
                archive.add(path, path.name)
        return dataclasses.replace(factory.get_record(_NET), checkpoint_url=f"{address}/lenet.tar.gz")

    return make


def _saved(folder: Path, **arguments: Any) -> dict[str, bytes]:
    """The files of a checkpoint called model.ckpt."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("LeNet/fc4/biases", [10])
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(**arguments)
        saver.save(session, str(folder / "model.ckpt"), write_meta_graph=False, write_state=False)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a checkpoint called model.ckpt."""
    return _saved(tmp_path_factory.mktemp("saved"))


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _in(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def _silent(*args: Any) -> None:
    pass


def test_a_checkpoint_is_fetched_and_unpacked_into_a_folder_of_its_net(
    release: Callable[..., NetRecord], checkpoint: dict[str, bytes], tmp_path: Path
) -> None:
    told: list[tuple] = []
    path = download_checkpoint(release(checkpoint), tmp_path / "out", lambda *args: told.append(args))
    assert path == str(tmp_path / "out/lenet/model.ckpt")
    assert resolve_checkpoint(path) == resolve_checkpoint(str(tmp_path / "out/lenet")) == path
    assert _files(tmp_path / "out") == sorted(f"lenet/{name}" for name in checkpoint)
    assert told[-1][0] == "downloading lenet.tar.gz"


def test_what_is_there_is_not_fetched_again(
    release: Callable[..., NetRecord], checkpoint: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = release(checkpoint)
    path = download_checkpoint(record, tmp_path / "out", _silent)
    (tmp_path / "site/lenet.tar.gz").unlink()
    caplog.set_level("INFO")
    assert download_checkpoint(record, tmp_path / "out", _silent) == path
    assert "lenet already exists" in caplog.text


def test_of_weights_and_their_moving_averages_the_averages_are_kept(
    release: Callable[..., NetRecord], checkpoint: dict[str, bytes], tmp_path: Path
) -> None:
    files = {**_in("net_1.0/ema", checkpoint), **_in("net_1.0/pristine", checkpoint), "net_1.0/net.tflite": b"lite"}
    path = download_checkpoint(release({**files, "net_1.0/ema/which": b"averages"}), tmp_path / "out", _silent)
    assert path == resolve_checkpoint(str(tmp_path / "out/lenet"))
    assert (Path(path).parent / "which").read_bytes() == b"averages"
    assert _files(tmp_path / "out") == sorted(f"lenet/{name}" for name in [*checkpoint, "which"])


def test_checkpoints_of_a_single_file_are_found_beside_others(
    release: Callable[..., NetRecord], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (content,) = _saved(tmp_path_factory.mktemp("old"), write_version=tf.train.SaverDef.V1).values()
    path = download_checkpoint(release({"lenet.ckpt": content, "eval.graph": b"graph"}), tmp_path / "out", _silent)
    assert path == resolve_checkpoint(str(tmp_path / "out/lenet")) == str(tmp_path / "out/lenet/lenet.ckpt")


def test_a_download_that_broke_off_is_gone_on_with(
    release: Callable[..., NetRecord], checkpoint: dict[str, bytes], tmp_path: Path
) -> None:
    record = release(checkpoint)
    (tmp_path / "out").mkdir()
    whole = (tmp_path / "site/lenet.tar.gz").read_bytes()
    (tmp_path / "out/lenet.tar.gz.part").write_bytes(whole[:100])
    assert Path(download_checkpoint(record, tmp_path / "out", _silent)).name == "model.ckpt"


def test_a_damaged_archive_is_removed(
    release: Callable[..., NetRecord], checkpoint: dict[str, bytes], tmp_path: Path
) -> None:
    record = release(checkpoint)
    archive = tmp_path / "site/lenet.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(RunError, match=r"Cannot unpack .*lenet\.tar\.gz: .* It has been removed; try again"):
        download_checkpoint(record, tmp_path / "out", _silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_whole_archive_survives_a_full_disk(
    release: Callable[..., NetRecord],
    checkpoint: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(released_weights, "unpack", refuse)
    with pytest.raises(OSError, match="No space left"):
        download_checkpoint(release(checkpoint), tmp_path / "out", _silent)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["lenet.tar.gz"]


def test_an_archive_without_a_checkpoint_leaves_nothing(release: Callable[..., NetRecord], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no TensorFlow checkpoint"):
        download_checkpoint(release({"readme.txt": b"sold out"}), tmp_path / "out", _silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_offline_the_error_names_the_address_and_the_folder(tmp_path: Path) -> None:
    record = dataclasses.replace(factory.get_record(_NET), checkpoint_url="http://127.0.0.1:9/lenet.tar.gz")
    with pytest.raises(RunError, match=r"Cannot download http://127\.0\.0\.1:9/lenet\.tar\.gz: .*out/lenet\."):
        download_checkpoint(record, tmp_path / "out", _silent)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_prints_what_checkpoint_path_takes(
    release: Callable[..., NetRecord],
    checkpoint: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(factory._NETS, "_built_in", {**factory._RECORDS, _NET: release(checkpoint)})
    monkeypatch.chdir(tmp_path)
    assert COMMAND.main(["--download", _NET]) == 0
    assert capsys.readouterr().out == "checkpoints/lenet/model.ckpt\n"
    assert COMMAND.main([_NET, "--download", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": _NET, "checkpoint_path": "checkpoints/lenet/model.ckpt"}]


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        ([], 2, "--download needs the names of nets"),
        (["vgg_a"], 2, r"No weights of vgg_a were released. Those of others were: vgg_1\d, vgg_1\d, inception"),
        (["vgg_16", "vgg_17"], 2, "Unknown net 'vgg_17'. Did you mean vgg_1"),
        ([_NET], 1, r"Cannot download http://127\.0\.0\.1:9/lenet\.tar\.gz"),
    ],
)
def test_the_command_refuses_what_it_cannot_fetch(
    names: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offline = dataclasses.replace(factory.get_record(_NET), checkpoint_url="http://127.0.0.1:9/lenet.tar.gz")
    if code == 1:
        monkeypatch.setattr(factory._NETS, "_built_in", {**factory._RECORDS, _NET: offline})
    monkeypatch.chdir(tmp_path)
    assert COMMAND.main(["--download", *names]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(message, printed.err)
