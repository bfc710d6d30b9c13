"""Checkpoints in tar archives of released weights."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from slim_train.checkpoints.archives import checkpoint_of_archive
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError
from slim_train.tf_compat import tf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """``archive("net.tgz", "net/net.ckpt", ...)``: an archive with a checkpoint of each name."""

    def make(name: str, *prefixes: str) -> Path:
        source = tmp_path / "source"
        for prefix in prefixes:
            with tf.Graph().as_default(), tf.Session() as session:
                saved = tf.get_variable("weights", initializer=float(len(prefix)))
                session.run(saved.initializer)
                (source / prefix).parent.mkdir(parents=True, exist_ok=True)
                tf.train.Saver().save(session, str(source / prefix), write_meta_graph=False, write_state=False)
        source.mkdir(exist_ok=True)
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as packed:
            packed.add(source, ".")
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", ["net_1.0_224.tgz", "net.tar.gz", "net.tar"])
def test_an_archive_stands_for_its_checkpoint(name: str, archive: Callable[..., Path], cache: Path) -> None:
    prefix = resolve_checkpoint(str(archive(name, "net/net.ckpt")))
    assert tf.train.load_checkpoint(prefix).get_tensor("weights") == len("net/net.ckpt")
    assert Path(prefix).is_relative_to(cache)
    assert [path.name.startswith(".") for path in (cache / "checkpoints").iterdir()] == [False]


def test_it_is_unpacked_once_and_again_if_it_has_changed(archive: Callable[..., Path]) -> None:
    first = checkpoint_of_archive(archive("net.tgz", "net.ckpt"))
    written = Path(f"{first}.index").stat().st_mtime_ns
    assert checkpoint_of_archive(archive("net.tgz")) == first
    assert Path(f"{first}.index").stat().st_mtime_ns == written
    assert checkpoint_of_archive(archive("net.tgz", "other/longer.ckpt")) != first


def test_moving_averages_go_before_the_weights_beside_them(archive: Callable[..., Path]) -> None:
    prefix = checkpoint_of_archive(archive("net.tgz", "net/ema/model", "net/pristine/model"))
    assert Path(prefix).parent.name == "ema"


def test_what_is_no_archive_or_holds_no_checkpoint_is_named(archive: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "broken.tgz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"--checkpoint_path=.*broken\.tgz: Cannot unpack"):
        checkpoint_of_archive(tmp_path / "broken.tgz")
    with pytest.raises(UsageError, match=r"--checkpoint_path=.*empty\.tgz holds no TensorFlow checkpoint"):
        checkpoint_of_archive(archive("empty.tgz"))


def test_members_outside_of_the_archive_are_ignored(archive: Callable[..., Path], tmp_path: Path, cache: Path) -> None:
    path = archive("net.tar", "net.ckpt")
    (tmp_path / "evil").write_text("evil")
    with tarfile.open(path, "a") as packed:
        packed.add(tmp_path / "evil", "../../evil")
    checkpoint_of_archive(path)
    assert not list(cache.rglob("evil"))
