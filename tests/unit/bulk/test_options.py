from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slim_train import config
from slim_train.bulk.classify_options import ClassifyOptions
from slim_train.bulk.options import ExtractOptions
from slim_train.errors import UsageError
from slim_train.spark_options import SparkOptions

WHOLE = {"checkpoint_path": "models/x", "image_dir": "images", "output_dir": "features"}


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"checkpoint_path": None}, "Name the net with --checkpoint_path"),
        ({"tfhub_module": "m"}, "given: --checkpoint_path and --tfhub_module"),
        ({"checkpoint_path": None, "graph": "a.pb", "model_name": "lenet"}, "--model_name=lenet and --graph cannot"),
        ({"input_layer": "x"}, "--input_layer requires --graph"),
        ({"input_mean": 1.0}, "--input_mean and --input_std require"),
        ({"input_std": 0.0}, "--input_std=0 must not be 0"),
        ({"image_dir": None}, "Name the images with one of .*; given: none."),
        ({"image_list": "list.txt"}, "given: --image_dir and --image_list."),
        ({"output_dir": None}, "--output_dir is required"),
    ],
)
def test_a_missing_or_doubled_flag_is_named(flags: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        config.with_values(ExtractOptions(), {**WHOLE, **flags}).check()


@pytest.mark.parametrize(("csv_file", "complaint"), [("", "is a folder: name a file"), ("gone/a.csv", "no folder")])
def test_a_csv_file_that_cannot_be_made_is_refused_first(csv_file: str, complaint: str, tmp_path: Path) -> None:
    flags = {"image_dir": "images", "predictions_dir": "out", "csv_file": str(tmp_path / csv_file)}
    with pytest.raises(UsageError, match=f"--csv_file.*{complaint}"):
        config.with_values(ClassifyOptions(), flags).check()


def test_spark_settings_may_hold_urls() -> None:
    assert SparkOptions(spark_conf="spark.jars=a.jar,file:///b.jar,s3a://x/c.jar").settings() == {
        "spark.jars": "a.jar,file:///b.jar,s3a://x/c.jar"
    }


def test_listing_end_points_needs_no_images() -> None:
    config.with_values(ExtractOptions(), {"checkpoint_path": "models/x", "end_points": "?"}).check()


def test_spark_settings_are_pairs_and_a_value_may_hold_commas() -> None:
    options = SparkOptions(spark_conf="spark.task.cpus=2,spark.jars=a.jar,b.jar")
    assert options.settings() == {"spark.task.cpus": "2", "spark.jars": "a.jar,b.jar"}


def test_a_spark_setting_without_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="--spark_conf=fast: 'fast' is not key=value."):
        SparkOptions(spark_conf="fast")


def test_a_master_and_a_connect_server_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        SparkOptions(spark_master="local[2]", spark_remote="sc://host")


def test_spark_submit_runs_the_job_on_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not SparkOptions().runs_on_spark
    assert SparkOptions(spark_master="local[2]").runs_on_spark
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    assert SparkOptions().runs_on_spark
