"""The checkpoint that a path means; prefixes, files and folders are tried with the tests of finding them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.checkpoints.resolve import becomes_checkpoint, resolve_checkpoint
from slim_train.errors import UsageError


def test_a_net_whose_weights_were_not_downloaded_yet_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="'slim_models --download mobilenet_v2' downloads released weights"):
        resolve_checkpoint(str(tmp_path / "checkpoints" / "mobilenet_v2"))


def test_only_files_that_are_there_become_checkpoints(tmp_path: Path) -> None:
    for name in ("model.keras", "net.tgz", "model.ckpt-1.index"):
        (tmp_path / name).touch()
    found = {name: becomes_checkpoint(str(tmp_path / name)) for name in ("model.keras", "net.tgz", "gone.keras")}
    assert found == {"model.keras": True, "net.tgz": True, "gone.keras": False}
    assert not becomes_checkpoint(str(tmp_path / "model.ckpt-1.index"))
    with pytest.raises(UsageError, match=r"model.keras is not a Keras 3 model that can be read"):
        resolve_checkpoint(str(tmp_path / "model.keras"))
    (tmp_path / "model.weights.h5").touch()
    with pytest.raises(UsageError, match=r"model\.weights\.h5 is not read.* call model\.save\('model\.keras'\)"):
        resolve_checkpoint(str(tmp_path / "model.weights.h5"))
    (tmp_path / "model.onnx").touch()
    with pytest.raises(UsageError, match=r"model\.onnx has no variables: label_image --graph"):
        resolve_checkpoint(str(tmp_path / "model.onnx"))
