from __future__ import annotations

from typing import Any

import pytest

from slim_train import config
from slim_train.errors import UsageError
from slim_train.exporting.options import ExportOptions, ResultOptions


def test_formats_are_split_at_commas_each_taken_once() -> None:
    assert ResultOptions(formats="tflite, frozen,tflite").wanted_formats() == ("tflite", "frozen")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"formats": "tflight"}, "Did you mean tflite"),
        ({"formats": ""}, "--formats is empty"),
        ({"precision": "fp64"}, "one of fp32, bf16, fp16, auto"),
        ({"output_file": "net.pb", "formats": "tflite"}, "--output_file takes the frozen graph alone"),
        ({"quantize": True}, "--quantize"),
        ({"is_video_model": True}, "video"),
        ({"num_frames": 8}, "video"),
    ],
)
def test_what_cannot_be_done_is_said(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config.with_values(ExportOptions(), flags)
