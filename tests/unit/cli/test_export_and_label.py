"""export_inference_graph and label_image as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slim_train.cli import export_inference_graph, label_image


def test_a_training_folder_is_exported_and_the_export_labels_pictures(
    training_folder: Path, photo: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rose.jpg").write_bytes(photo())
    arguments = [f"--train_dir={training_folder}", f"--export_dir={tmp_path}", "--formats=frozen"]
    assert export_inference_graph.COMMAND.main(arguments) == 0
    assert "frozen graph" in capsys.readouterr().err
    arguments = [f"--graph={tmp_path}/model.pb", f"--image={tmp_path}/rose.jpg", "--json", "--top=1"]
    assert label_image.COMMAND.main(arguments) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["labels"][0]["label"] in ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def test_the_classic_command_line_of_research_slim_writes_the_graph(tmp_path: Path) -> None:
    arguments = ["--alsologtostderr", "--model_name=lenet", "--dataset_name=mnist", f"--output_file={tmp_path}/net.pb"]
    assert export_inference_graph.COMMAND.main(arguments) == 0
    assert (tmp_path / "net.pb").stat().st_size > 1000


@pytest.mark.parametrize("arguments", [["--image=gone.jpg", "--graph=gone.pb"], ["--graph=gone.pb"]])
def test_what_is_missing_is_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert label_image.COMMAND.main(arguments) == 2
    assert "--image" in capsys.readouterr().err
