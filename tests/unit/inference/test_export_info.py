"""What an export says of itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.inference.export_info import (
    ExportInfo,
    from_properties,
    read_export_info,
    to_properties,
    write_export_info,
)

INFO = ExportInfo("lenet", ("angry", "häppy"), (28, 28), 1, "lenet", 7, "model.ckpt-7")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_export_info(tmp_path / "model.json", INFO)
    assert read_export_info(tmp_path / "model.json") == INFO
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def test_an_export_from_before_scaled_decoding_decodes_in_full(tmp_path: Path) -> None:
    write_export_info(tmp_path / "model.json", dataclasses.replace(INFO, scaled_decoding=True))
    assert read_export_info(tmp_path / "model.json").scaled_decoding
    content = json.loads((tmp_path / "model.json").read_text())
    del content["scaled_decoding"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert not read_export_info(tmp_path / "model.json").scaled_decoding


def test_files_of_others_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_text('{"name": "x"}')
    assert read_export_info(tmp_path / "theirs.json") is None
    assert read_export_info(tmp_path / "missing.json") is None


@pytest.mark.parametrize("text", ["{", '{"model_name": "lenet"}', '{"model_name": "lenet", "image_size": 28}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UsageError, match=r"model\.json does not describe an export"):
        read_export_info(tmp_path / "model.json")


def test_properties_are_text_and_read_back(tmp_path: Path) -> None:
    properties = to_properties(dataclasses.replace(INFO, temperature=1.5))
    assert properties["labels"] == '["angry", "häppy"]'
    assert properties["model_name"] == "lenet"
    assert from_properties({**properties, "of_others": "{"}, tmp_path) == dataclasses.replace(INFO, temperature=1.5)
    assert from_properties({"model_name": "theirs"}, tmp_path) is None


@pytest.mark.parametrize("broken", [{"step": "seven"}, {"image_size": "[1]"}, {"labels": "3"}])
def test_broken_properties_name_the_file(broken: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.onnx does not describe an export"):
        from_properties({**to_properties(INFO), **broken}, tmp_path / "a.onnx")
