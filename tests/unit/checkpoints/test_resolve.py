"""The checkpoint that a path means; prefixes, files and folders are tried with the tests of finding them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError


def test_a_net_whose_weights_were_not_downloaded_yet_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="'slim_models --download mobilenet_v2' downloads released weights"):
        resolve_checkpoint(str(tmp_path / "checkpoints" / "mobilenet_v2"))
