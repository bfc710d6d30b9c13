"""conf.json: read as it is, and nothing in it evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.serving.uai.conf import read_uai_conf


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(tensorflow={}, infor=None)``: a conf.json in a folder that has checkpoint_dir."""
    (tmp_path / "checkpoint_dir").mkdir()

    def make(tensorflow: dict[str, Any] | None = None, infor: dict[str, Any] | None = None) -> Path:
        content: dict[str, Any] = {
            "http_server": {
                "exec": {"main_class": "MyModel", "main_file": "my_model"},
                "tensorflow": {"model_dir": "./checkpoint_dir", **(tensorflow or {})},
            }
        }
        if infor is not None:
            content["infor"] = infor
        path = tmp_path / "conf.json"
        path.write_text(json.dumps(content))
        return path

    return make


def test_the_retrain_example(write: Callable[..., Path], tmp_path: Path) -> None:
    conf = read_uai_conf(write({"input_width": "224", "input_height": "192"}))
    assert (conf.input_width, conf.input_height) == (224, 192)
    assert conf.main_class == "MyModel"
    assert conf.main_file is None
    assert conf.model_dir == tmp_path / "checkpoint_dir"
    assert conf.content["http_server"]["tensorflow"]["model_dir"] == str(tmp_path / "checkpoint_dir")
    assert conf.content["http_server"]["tensorflow"]["input_width"] == "224"  # for loaders of the user's own


def test_the_slim_example_says_none_by_the_word_none(write: Callable[..., Path]) -> None:
    conf = read_uai_conf(write(infor={"preprocessing_name": "None", "model_name": "vgg_19", "eval_image_size": "None"}))
    assert (conf.model_name, conf.preprocessing_name, conf.eval_image_size) == ("vgg_19", None, None)


def test_numbers_may_be_numbers(write: Callable[..., Path]) -> None:
    assert read_uai_conf(write({"input_width": 224})).input_width == 224


def test_the_folder_code_beside_the_file_holds_model_and_code_too(tmp_path: Path) -> None:
    (tmp_path / "code" / "models").mkdir(parents=True)
    (tmp_path / "code" / "mine.py").write_text("")
    path = tmp_path / "conf.json"
    server = {"exec": {"main_class": "A", "main_file": "mine.py"}, "tensorflow": {"model_dir": "models"}}
    path.write_text(json.dumps({"http_server": server}))
    conf = read_uai_conf(path)
    assert (conf.model_dir, conf.main_file) == (tmp_path / "code" / "models", tmp_path / "code" / "mine.py")


@pytest.mark.parametrize(
    "value", ["__import__('os').system('touch evaluated')", "2*112", "0", -1, 1.5, True, [224], "٢٢٤", "9" * 400]
)
def test_what_is_no_number_is_refused_and_never_evaluated(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"tensorflow\.input_width must be a number of pixels, such as 224, got"):
        read_uai_conf(write({"input_width": value}))
    assert not (tmp_path / "evaluated").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a conf.json that can be read"),
        ("[]", "the file must be an object"),
        ("{}", "http_server is missing"),
        ("null", "the file must be an object"),
        ('{"http_server": {"exec": []}}', "http_server.exec must be an object"),
        ('{"http_server": {"exec": {}, "tensorflow": {}}}', "needs exec.main_class"),
        ('{"http_server": {"exec": {"main_file": 1}, "tensorflow": {}}}', "main_file must be text, got 1"),
        (
            '{"http_server": {"exec": {"main_class": "A", "main_file": "a"}, "tensorflow": {"model_dir": "no"}}}',
            "model_dir=no does not exist",
        ),
    ],
)
def test_a_file_that_lacks_something_names_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "conf.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_uai_conf(tmp_path / "conf.json")
