from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets import storage
from datasets.storage import path_of
from slim_train import config
from slim_train.errors import UsageError
from slim_train.inference.predictor import load_predictor
from slim_train.retraining import run
from slim_train.retraining.options import RetrainOptions
from slim_train.tf_compat import tf


@pytest.fixture
def options(tmp_path: Path, image_dir: Path, colour_module_folder: Path) -> RetrainOptions:
    return with_flags(
        RetrainOptions(),
        image_dir=str(image_dir),
        tfhub_module=str(colour_module_folder),
        bottleneck_dir=str(tmp_path / "bottlenecks"),
        output_graph=str(tmp_path / "out" / "graph.pb"),
        output_labels=str(tmp_path / "out" / "labels.txt"),
        summaries_dir=str(tmp_path / "logs"),
        how_many_training_steps=60,
        seed=1,
    )


def with_flags(options: RetrainOptions, **flags: Any) -> RetrainOptions:
    return config.with_values(options, flags)


def result_of(options: RetrainOptions) -> dict[str, Any]:
    run.run(options)
    return json.loads(Path(options.output.output_graph).with_suffix(".json").read_text())


def events(folder: Path) -> list[tuple[int, dict[str, float]]]:
    (path,) = folder.iterdir()
    return [
        (event.step, {value.tag: value.simple_value for value in event.summary.value})
        for event in tf.train.summary_iterator(str(path))
        if event.summary.value
    ]


def test_pictures_become_a_tested_classifier(options: RetrainOptions, tmp_path: Path, image_dir: Path):
    result = result_of(options)
    assert result["labels"] == ["blue sky", "grass", "roses"]
    assert (tmp_path / "out" / "labels.txt").read_text() == "blue sky\ngrass\nroses\n"
    assert sum(result["pictures"].values()) == 72
    assert result["test"]["accuracy"] == 1.0
    assert result["test"]["images"] == result["pictures"]["testing"]
    assert result["misclassified"] == []
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString((tmp_path / "out" / "graph.pb").read_bytes()), name="")
        picture = np.asarray(Image.open(image_dir / "grass" / "3.png").resize((8, 8)))[np.newaxis] / 255.0
        assert session.run("final_result:0", {"Placeholder:0": picture}).argmax() == 1


def test_the_report_is_what_is_written(options: RetrainOptions) -> None:
    report = run.run(options)
    assert report.to_dict() == json.loads(report.files["report"].read_text())
    assert all(path.exists() for path in report.files.values())
    assert (report.accuracy, report.labels) == (1.0, ("blue sky", "grass", "roses"))
    assert "accuracy 100.0%" in report._repr_html_()


def test_a_seed_repeats_a_run_and_features_are_not_computed_again(
    options: RetrainOptions, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    first = result_of(options)
    caplog.clear()
    second = result_of(options)
    assert "72 images, the features of 0 to compute" in caplog.text
    del first["seconds"], second["seconds"]
    assert first == second


def test_summaries_are_written_at_each_evaluation(options: RetrainOptions, tmp_path: Path):
    run.run(with_flags(options, how_many_training_steps=25))
    run.run(with_flags(options, how_many_training_steps=25))  # takes the place of the first
    for part in ("train", "validation"):
        written = events(tmp_path / "logs" / part)
        assert [step for step, _ in written] == [0, 10, 20, 24]
        assert written[-1][1].keys() == {"accuracy", "cross_entropy"}
        assert written[-1][1]["cross_entropy"] < written[0][1]["cross_entropy"]


def test_distorted_pictures_train_as_well(options: RetrainOptions):
    distorted = with_flags(
        options,
        how_many_training_steps=30,
        train_batch_size=20,
        flip_left_right=True,
        random_crop=20,
        random_scale=10,
        random_brightness=10,
    )
    assert result_of(distorted)["test"]["accuracy"] == 1.0


def test_pictures_that_cannot_be_read_are_left_out_and_named(
    options: RetrainOptions, image_dir: Path, caplog: pytest.LogCaptureFixture
):
    (image_dir / "roses" / "notes.txt").write_text("water them")
    result = result_of(options)
    assert result["rejected"] == {"roses/notes.txt": "not an image"}
    assert sum(result["pictures"].values()) == 72
    assert "Left out roses/notes.txt: not an image." in caplog.text


def test_graphs_on_the_way_are_written_under_their_steps(options: RetrainOptions, tmp_path: Path):
    run.run(
        with_flags(
            options,
            how_many_training_steps=41,
            intermediate_store_frequency=20,
            intermediate_output_graphs_dir=str(tmp_path / "on_the_way"),
        )
    )
    assert sorted(path.name for path in (tmp_path / "on_the_way").iterdir()) == [
        "intermediate_20.pb",
        "intermediate_40.pb",
    ]


def test_mistakes_are_listed_and_drawn(
    options: RetrainOptions, tmp_path: Path, image_dir: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    for number in range(24):
        shutil.copyfile(image_dir / "roses" / f"{number}.png", image_dir / "grass" / f"rose_{number}.png")
    result = result_of(with_flags(options, testing_percentage=40, print_misclassified_test_images=True))
    mistakes = result["misclassified"]
    assert len(mistakes) == round((1 - result["test"]["accuracy"]) * result["test"]["images"]) > 0
    assert {mistake["label"] for mistake in mistakes} <= {"grass", "roses"}
    probabilities = [mistake["probability"] for mistake in mistakes]
    assert probabilities == sorted(probabilities, reverse=True)
    assert f"{mistakes[0]['file']}  {mistakes[0]['prediction']}" in caplog.text
    with Image.open(tmp_path / "out" / "graph_mistakes.png") as sheet:
        assert sheet.width > 200


def test_without_pictures_to_test_and_validate_all_train(options: RetrainOptions):
    result = result_of(with_flags(options, testing_percentage=0, validation_percentage=0))
    assert result["pictures"] == {"training": 72, "validation": 0, "testing": 0}
    assert (result["test"], result["validation"]) == (None, None)
    assert result["training"]["accuracy"] > 0.9


def test_few_pictures_in_a_class_warn_and_moved_ones_are_named(
    options: RetrainOptions, image_dir: Path, caplog: pytest.LogCaptureFixture
):
    for path in sorted((image_dir / "roses").iterdir())[3:]:
        path.unlink()
    moved = result_of(options)["moved"]
    assert "'roses' has only 3 images" in caplog.text
    assert moved
    assert all(f"Moved {name} to {part}" in caplog.text for name, part in moved.items())


def test_of_thousands_of_small_classes_the_first_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        (tmp_path / f"class {number}").mkdir()
        (tmp_path / f"class {number}" / "1.jpg").write_bytes(b"")
    run.list_images(str(tmp_path))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 21
    assert warnings[-1] == "So have 80 more classes."


def test_one_class_is_an_error(options: RetrainOptions, image_dir: Path):
    for name in ("grass", "roses"):
        shutil.rmtree(image_dir / name)
    with pytest.raises(UsageError, match="one class, 'Blue Sky'"):
        run.run(options)


def test_a_folder_of_splits_is_an_error_that_says_what_to_give(options: RetrainOptions, image_dir: Path):
    image_dir.rename(image_dir.parent / "train")
    image_dir.mkdir()
    (image_dir.parent / "train").rename(image_dir / "train")
    with pytest.raises(UsageError, match="holds the splits train"):
        run.run(options)


def test_a_missing_image_folder_is_named_by_its_flag(options: RetrainOptions):
    with pytest.raises(UsageError, match="--image_dir=/does/not/exist does not exist"):
        run.run(with_flags(options, image_dir="/does/not/exist"))


@pytest.mark.slow
def test_flowers_are_told_apart_by_a_real_module(options: RetrainOptions, shared_data: Any):
    flowers = with_flags(
        options,
        image_dir=str(shared_data / "flowers"),
        tfhub_module=str(shared_data / "hub" / "mobilenet_v2_100_224_feature_vector"),
        how_many_training_steps=4000,
        testing_percentage=20,
    )
    result = result_of(flowers)
    assert result["test"]["images"] > 500
    assert result["test"]["accuracy"] > 0.87


def test_images_features_and_results_may_be_at_urls(options: RetrainOptions, image_dir: Path) -> None:
    storage.copy_folder(image_dir, path_of("ram://retrain/images"))
    places = {
        "image_dir": "ram://retrain/images",
        "bottleneck_dir": "ram://retrain/bottlenecks",
        "output_graph": "ram://retrain/out/graph.pb",
        "output_labels": "ram://retrain/out/labels.txt",
        "saved_model_dir": "ram://retrain/saved",
        "summaries_dir": "ram://retrain/logs",
    }
    here, there = run.run(options), run.run(with_flags(options, **places))
    assert there.accuracy == here.accuracy == 1.0
    assert there.image_dir == "ram://retrain/images"
    assert all(path.exists() for path in there.files.values())
    assert str(there.files["report"]) == "ram://retrain/out/graph.json"
    with load_predictor("ram://retrain/saved") as predictor:
        assert predictor.labels == ("blue sky", "grass", "roses")
    with pytest.raises(UsageError, match="already exists"):
        run.run(with_flags(options, **places))
