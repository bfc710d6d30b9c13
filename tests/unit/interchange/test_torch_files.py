from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.interchange.torch_files import read_metadata, require_safetensors, write_state_dict


def test_weights_are_written_with_their_config(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")
    state = {"fc.weight": np.float32([[1, 2], [3, 4]]), "bn.num_batches_tracked": np.zeros((), np.int64)}
    write_state_dict(tmp_path / "model.safetensors", state, {"architecture": "tiny", "label_names": ["Käfer"]})
    read = numpy_files.load_file(tmp_path / "model.safetensors")
    assert set(read) == set(state)
    np.testing.assert_array_equal(read["fc.weight"], state["fc.weight"])
    assert read["bn.num_batches_tracked"].shape == ()
    assert read_metadata(tmp_path / "model.safetensors") == {"architecture": "tiny", "label_names": ["Käfer"]}


def test_without_safetensors_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(UsageError, match=r"--formats=torch requires .* pip install 'slim-train\[torch\]'"):
        require_safetensors("--formats=torch")
