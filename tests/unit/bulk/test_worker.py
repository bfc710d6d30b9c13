from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from deployment.cluster import ClusterError
from slim_train.bulk import parquet
from slim_train.bulk.feature_net import load_feature_net
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.image_rows import ImageOpener
from slim_train.bulk.listing import list_images
from slim_train.bulk.on_spark import run_on_spark
from slim_train.bulk.options import FeatureNetOptions, ListedImages
from slim_train.bulk.parts import FEATURES, split_into_parts
from slim_train.bulk.worker import run_part, write_job
from slim_train.errors import RunError
from slim_train.spark_options import SparkOptions
from slim_train.training_options import UserCodeOptions

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [parquet])")


def test_a_worker_writes_a_part_by_its_number(training_folder: Path, image_dir: Path, tmp_path: Path) -> None:
    options = FeatureNetOptions(checkpoint_path=str(training_folder), precision="fp32")
    net = load_feature_net(options, UserCodeOptions())
    images = list_images(ListedImages(image_dir=str(image_dir)))
    parts = split_into_parts(images.rows, 6)
    with parquet.job_folder(tmp_path) as job:
        net.write(job)
        write_job(job, FEATURES, images.opener(), parts)
        done = run_part(str(job), 1, threads=1, devices=["7"])
    assert gc.get_freeze_count() > 100_000  # what Spark need not look at after each task
    gc.unfreeze()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert not job.exists()
    assert done == (parts[1].file, 5, 1)
    written = pq.read_table(tmp_path / parts[1].file).to_pylist()
    assert [row["path"] for row in written] == [row.path for row in parts[1].rows]
    with FeatureBody(net, images.opener(), threads=1) as body:
        expected = body(parts[1].rows).vectors["features"]
    np.testing.assert_allclose(written[0]["features"], expected[0], rtol=1e-5, atol=1e-6)


def test_a_worker_that_does_not_see_the_output_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"does not see the output folder {tmp_path}: the folder must be shared"):
        run_part(str(tmp_path / ".job-1"), 0, threads=1)


def test_a_worker_that_does_not_see_the_images_says_so(image_dir: Path, tmp_path: Path) -> None:
    parts = split_into_parts(list_images(ListedImages(image_dir=str(image_dir))).rows, 6)
    write_job(tmp_path, FEATURES, ImageOpener(str(tmp_path / "gone")), parts)
    with pytest.raises(RunError, match="does not see the images in .*gone"):
        run_part(str(tmp_path), 0, threads=1)


def test_without_pyspark_nothing_stays_in_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ClusterError, match="requires pyspark"), parquet.job_folder(tmp_path) as job:
        run_on_spark(SparkOptions(spark_master="local[2]"), FEATURES, job, [])
    assert list(tmp_path.iterdir()) == []
