from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.interchange.torch_files import (
    read_config,
    read_header,
    read_state_dict,
    require_safetensors,
    write_state_dict,
)


def test_weights_are_written_with_their_config(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")
    state = {"fc.weight": np.float32([[1, 2], [3, 4]]), "bn.num_batches_tracked": np.zeros((), np.int64)}
    write_state_dict(tmp_path / "model.safetensors", state, {"architecture": "tiny", "label_names": ["Käfer"]})
    read = numpy_files.load_file(tmp_path / "model.safetensors")
    assert set(read) == set(state)
    np.testing.assert_array_equal(read["fc.weight"], state["fc.weight"])
    assert read["bn.num_batches_tracked"].shape == ()
    header = read_header(tmp_path / "model.safetensors")
    assert header.config == {"architecture": "tiny", "label_names": ["Käfer"]}
    assert header.shapes == {"fc.weight": (2, 2), "bn.num_batches_tracked": ()}
    assert list(read_state_dict(tmp_path / "model.safetensors")) == ["fc.weight"]


def test_weights_in_16_bits_are_read_in_32(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")
    safetensors = pytest.importorskip("safetensors")
    numpy_files.save_file({"a": np.float16([1.5, -2.0])}, tmp_path / "half.safetensors")
    # bfloat16 is the first half of float32.
    data = (np.float32([1.5, -2.0]).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    spec = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "brain.safetensors").write_bytes(len(spec).to_bytes(8, "little") + spec + data)
    for name in ("half", "brain"):
        assert read_header(tmp_path / f"{name}.safetensors").shapes == {"a": (2,)}
        (values,) = read_state_dict(tmp_path / f"{name}.safetensors").values()
        assert (values.dtype, values.tolist()) == (np.float32, [1.5, -2.0])
    assert issubclass(safetensors.SafetensorError, Exception)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is damaged, or not a safetensors file"),
        (b"\xff" * 64, "is damaged, or not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_a_line(tmp_path: Path, content: bytes, words: str) -> None:
    pytest.importorskip("safetensors", reason="the extra [torch] is not installed")
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        read_header(tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_or_far_too_large_is_refused(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")
    data = numpy_files.save({"a": np.zeros(100, np.float32)})
    (tmp_path / "cut.safetensors").write_bytes(data[:-50])
    with pytest.raises(UsageError, match="is damaged"):
        read_header(tmp_path / "cut.safetensors")
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.truncate(4 << 30)
    with pytest.raises(UsageError, match=r"has 4\.3 GB: more than the weights of any net"):
        read_header(tmp_path / "large.safetensors")


def test_quantized_weights_are_refused_by_name(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="the extra [torch] is not installed")
    numpy_files.save_file({"conv.weight": np.zeros(3, np.int8)}, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match="conv.weight is of type I8"):
        read_state_dict(tmp_path / "x.safetensors")


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b"[" * 100_000])
def test_a_config_that_is_no_object_is_none(tmp_path: Path, content: bytes) -> None:
    assert read_config(tmp_path / "config.json") is None
    (tmp_path / "config.json").write_bytes(content)
    assert read_config(tmp_path / "config.json") is None


def test_without_safetensors_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(UsageError, match=r"--formats=torch requires .* pip install 'slim-train\[torch\]'"):
        require_safetensors("--formats=torch")


def test_damaged_bytes_never_raise_another_error(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="the extra [torch] is not installed")
    path = tmp_path / "model.safetensors"
    write_state_dict(path, {"fc.weight": np.float32([[1, 2], [3, 4]])}, {"architecture": "tiny"})
    content, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 2):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(UsageError):
            read_header(path)
            read_state_dict(path)
