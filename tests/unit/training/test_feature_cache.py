"""Training the head on cached features: the same training, its trunk computed once, and never for something else."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets import tfrecords
from datasets.errors import DataError
from datasets.spec import DatasetSpec
from datasets.storage import path_of
from slim_train import register_augmentation
from slim_train.checkpoints.find import latest_checkpoint
from slim_train.cli import eval_image_classifier, train_image_classifier
from slim_train.errors import RunError, UsageError
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import slim, tf
from slim_train.training.feature_cache import FeatureCache, FeatureSource
from slim_train.training_options import AugmentationOptions

NUM_IMAGES = 10
WIDTH = 1024  # of lenet's features
ROOT = Path(__file__).resolve().parents[2]


def write_records(folder: Path, photo: Callable[..., bytes], num_images: int = NUM_IMAGES, seed: int = 0) -> Path:
    """Images of 5 classes, for training and for testing. PNG: decoded for training and evaluation they are equal."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        records = [
            tfrecords.image_example(photo("PNG", seed=100 * seed + i), "png", i % 5, "", 70, 90, f"{i}.png")
            for i in range(num_images)
        ]
        tfrecords.write_records(folder / f"toy_{split}.tfrecord", records)
    (folder / "labels.txt").write_text("".join(f"{label}:{label}\n" for label in range(5)))
    counts = {"num_sample_train": num_images, "num_sample_test": num_images}
    (folder / "info.json").write_text(json.dumps({"name": "toy", "num_class": 5, **counts}))
    return folder


def dataset_of(folder: Path) -> DatasetSpec:
    files = (str(folder / "toy_train.tfrecord"),)
    return DatasetSpec("toy", "train", str(folder), files, 5, NUM_IMAGES, tuple("01234"))


def write_lenet(folder: Path, seed: int) -> str:
    """A checkpoint of lenet with 5 classes, its weights drawn by ``seed``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        nets.get_network_fn("lenet", num_classes=5)(tf.zeros([1, 28, 28, 1]))
        session.run(tf.global_variables_initializer())
        return str(tf.train.Saver().save(session, str(folder / "lenet.ckpt"), write_meta_graph=False))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, photo: Callable[..., bytes]) -> Path:
    """A data set that no test changes."""
    return write_records(tmp_path_factory.mktemp("records"), photo)


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint."""
    return write_lenet(tmp_path_factory.mktemp("lenet"), seed=1)


@pytest.fixture
def source(records: Path) -> FeatureSource:
    """The images, undistorted, for lenet."""
    model = ModelSpec(nets.get_record("lenet"), 5, 0, 28, 1, get_recipe("lenet"))
    return FeatureSource(dataset_of(records), model, "fp32", 0, AugmentationOptions(), seed=0)


def filled(source: FeatureSource, folder: Path, checkpoint: str) -> FeatureCache:
    """A cache for a training of lenet's last layer on ``checkpoint``."""
    cache = FeatureCache(source, folder)
    with tf.Graph().as_default():
        size, channels = source.model.image_size, source.model.channels
        nets.get_network_fn("lenet", source.model.num_classes)(tf.zeros([1, size, size, channels]))
        cache.locate(slim.get_model_variables(), slim.get_model_variables("LeNet/fc4"), checkpoint, None)
    cache.fill(tf.ConfigProto(), "/device:CPU:0")
    return cache


def cached_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def arguments(records: Path, checkpoint: str | Path, train_dir: Path, *flags: str) -> list[str]:
    return [
        f"--dataset_dir={records}", f"--checkpoint_path={checkpoint}", f"--train_dir={train_dir}",
        "--model_name=lenet", "--trainable_scopes=auto", "--clone_on_cpu", f"--batch_size={NUM_IMAGES}",
        "--optimizer=sgd", "--max_number_of_steps=1", "--log_every_n_steps=1", "--save_summaries_secs=0", *flags,
    ]  # fmt: skip


@pytest.fixture
def train(records: Path, lenet: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``train(*flags)``: train lenet's last layer for a step; exit code, and what it says. Later flags win."""

    def run(*flags: str) -> tuple[int, str]:
        code = train_image_classifier.COMMAND.main(arguments(records, lenet, tmp_path / "run", *flags))
        said = capsys.readouterr()
        return code, said.err + " ".join(said.out.split())

    return run


def metrics(train_dir: Path, name: str) -> list[float]:
    lines = map(json.loads, (train_dir / "metrics.jsonl").read_text().splitlines())
    return [line[name] for line in lines if name in line]


def variables(train_dir: Path) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(latest_checkpoint(train_dir))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.slow
def test_losses_and_variables_are_those_of_training_without_the_cache(
    train: Callable[..., Any], tmp_path: Path, mobilenet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = nets.get_record("mobilenet_v1_025")
    without_dropout = dataclasses.replace(record, builder=functools.partial(record.builder, dropout_keep_prob=1.0))
    monkeypatch.setattr(nets._NETS, "_built_in", {record.name: without_dropout})
    common = (
        f"--model_name={record.name}", "--train_image_size=64", f"--checkpoint_path={mobilenet_folder}",
        "--augmentation=none", "--moving_average_decay=0.9", "--optimizer=momentum", "--max_number_of_steps=3",
    )  # fmt: skip
    every_step, once = tmp_path / "every_step", tmp_path / "once"
    assert train(*common, f"--train_dir={every_step}")[0] == 0
    assert train(*common, f"--train_dir={once}", "--cache_features")[0] == 0
    expected = metrics(every_step, "loss")
    np.testing.assert_allclose(metrics(once, "loss"), expected, atol=1e-4)
    assert expected[0] > expected[-1]
    values = variables(once)
    assert values.keys() == variables(every_step).keys()
    for name, value in variables(every_step).items():
        if not name.endswith("ExponentialMovingAverage"):  # They begin at initial values, which are drawn.
            np.testing.assert_allclose(values[name], value, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_evaluation_takes_the_checkpoint_as_any_other(train: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--optimizer=momentum", "--learning_rate=0.01", "--max_number_of_steps=60", "--num_clones=2")
    validation = ("--eval_split_name=test", "--eval_every_n_steps=1000")
    code, log = train("--cache_features", "--gradient_accumulation_steps=2", "--batch_size=4", *flags, *validation)
    assert code == 0, log
    assert eval_image_classifier.COMMAND.main([f"--train_dir={tmp_path / 'run'}", "--mistakes=0"]) == 0
    result = json.loads((tmp_path / "run" / "eval_test" / "eval_test.json").read_text())
    assert [result["accuracy"]] == metrics(tmp_path / "run", "eval_accuracy")
    assert result["accuracy"] > 0.8


def test_a_second_run_uses_the_features_of_the_first_and_so_does_a_resumed_one(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    shared = ("--cache_features", f"--feature_cache_dir={tmp_path / 'cache'}")
    _, first = train(*shared)
    (file,) = cached_files(tmp_path)
    what = f"10 images, undistorted, 1,024 features each (0.0 MiB) in {file}"
    assert f"Features to compute, once: {what}" in first
    _, resumed = train(*shared, "--max_number_of_steps=2", "--batch_size=3")
    _, second = train(*shared, f"--train_dir={tmp_path / 'second'}", "--checkpoint_exclude_scopes=auto")
    for log in (resumed, second):
        assert f"Cached features used: {what}" in log
        assert "to compute" not in log
    assert metrics(tmp_path / "run", "step") == [1, 2]


def test_other_weights_of_the_trunk_are_computed_anew_and_other_weights_of_the_head_are_not(
    source: FeatureSource, lenet: str, tmp_path: Path
) -> None:
    file = filled(source, tmp_path, lenet).path
    features = np.load(file)["features"]
    other = filled(source, tmp_path, write_lenet(tmp_path / "other", seed=2)).path
    assert not np.allclose(np.load(other)["features"], features, rtol=0.1)
    with tf.Graph().as_default(), tf.Session() as session:
        nets.get_network_fn("lenet", num_classes=5)(tf.zeros([1, 28, 28, 1]))
        saver = tf.train.Saver()
        saver.restore(session, lenet)
        session.run(slim.get_model_variables("LeNet/fc4/weights")[0].initializer)
        other_head = saver.save(session, str(tmp_path / "head.ckpt"))
    assert filled(source, tmp_path, other_head).path == file


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelSpec(nets.get_record("lenet"), 5, 0, 28, 1, get_recipe("vgg"))},
        {"model": ModelSpec(nets.get_record("lenet"), 5, 0, 32, 1, get_recipe("lenet"))},
        {"model": ModelSpec(nets.get_record("lenet"), 6, -1, 28, 1, get_recipe("lenet"))},
        {"precision": "bf16"},
        {"num_variants": 1},
        {"num_variants": 2, "seed": 1},
        {"num_variants": 2, "augmentation": AugmentationOptions("faces")},
        {"num_variants": 2, "augmentation": AugmentationOptions(random_erasing=0.1)},
    ],
)
def test_what_changes_the_features_changes_the_file(source: FeatureSource, change: dict[str, Any]) -> None:
    before = source.identity("weights")
    assert dataclasses.replace(source, **change).identity("weights") != before
    assert source.identity("other weights") != before
    if len(change) > 1:
        with_variants = dataclasses.replace(source, num_variants=change["num_variants"])
        assert dataclasses.replace(source, **change).identity("weights") != with_variants.identity("weights")


def test_the_code_of_a_registered_augmentation_is_part_of_the_name(source: FeatureSource) -> None:
    def identity(strength: float, num_variants: int = 2) -> str:
        register_augmentation("own", lambda images, seed: images * strength)
        augmented = AugmentationOptions("own")
        return dataclasses.replace(source, num_variants=num_variants, augmentation=augmented).identity("weights")

    assert identity(0.5) == identity(0.5) != identity(0.6)
    assert identity(0.5, num_variants=0) == identity(0.6, num_variants=0)


@pytest.mark.slow
def test_features_are_computed_again_when_the_code_of_an_augmentation_changes(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    flags = ("--augmentation=own", "--cached_augmentations=2", "--seed=1")
    cached = []
    for strength in (0.5, 0.5, 0.0):
        register_augmentation("own", lambda images, seed, strength=strength: images * strength)
        assert train(*flags, "--restart")[0] == 0
        cached.append(set(cached_files(tmp_path)))
    assert len(cached[0]) == 1 and cached[1] == cached[0]
    (black,) = cached[2] - cached[0]
    features = np.load(black)["features"]
    np.testing.assert_array_equal(features, np.broadcast_to(features[0, 0], features.shape))


def test_features_belong_to_the_records_wherever_they_lie(
    source: FeatureSource, tmp_path: Path, records: Path, photo: Callable[..., bytes]
) -> None:
    def identity(folder: Path) -> str:
        return dataclasses.replace(source, dataset=dataset_of(folder)).identity("weights")

    assert identity(Path(shutil.copytree(records, tmp_path / "moved"))) == identity(records)
    original = records / "toy_train.tfrecord"
    others = write_records(tmp_path / "others", photo, seed=1)
    ordered = [record for _, record in tfrecords.scan_records(original)]
    relabelled = [
        record.replace(b"class/label\x12\x05\x1a\x03\n\x01\x04", b"class/label\x12\x05\x1a\x03\n\x01\x03")
        for record in ordered
    ]
    assert relabelled != ordered
    for changed in ([*ordered[1:], ordered[0]], relabelled):
        tfrecords.write_records(others / "toy_train.tfrecord", changed)
        os.utime(others / "toy_train.tfrecord", ns=(0, original.stat().st_mtime_ns))
        assert (others / "toy_train.tfrecord").stat().st_size == original.stat().st_size
        assert identity(others) != identity(records)


@pytest.mark.slow
def test_variants_are_distorted_by_the_seed_and_the_labels_are_those_of_the_records(
    source: FeatureSource, lenet: str, tmp_path: Path
) -> None:
    variants = dataclasses.replace(source, num_variants=3, augmentation=AugmentationOptions("faces", 0.5))
    rows = np.load(filled(variants, tmp_path, lenet).path)
    assert rows["features"].shape == (3, NUM_IMAGES, WIDTH)
    assert (rows["label"] == [i % 5 for i in range(NUM_IMAGES)]).all()
    for first, second in ((0, 1), (1, 2)):
        of_images = np.linalg.norm(rows["features"][first] - rows["features"][second], axis=1)
        assert (of_images > 0.01 * np.linalg.norm(rows["features"][first], axis=1)).all()
    again = np.load(filled(variants, tmp_path / "again", lenet).path)
    np.testing.assert_array_equal(again["label"], rows["label"])
    np.testing.assert_allclose(again["features"], rows["features"], rtol=1e-4, atol=1e-5)
    other = np.load(filled(dataclasses.replace(variants, seed=1), tmp_path, lenet).path)
    assert not np.allclose(other["features"], rows["features"], rtol=0.01)


def test_an_epoch_holds_a_variant_of_each_image_and_the_next_another(
    source: FeatureSource, lenet: str, tmp_path: Path
) -> None:
    cache = filled(dataclasses.replace(source, num_variants=3), tmp_path, lenet)
    rows = np.load(cache.path)
    rows["features"][...] = np.arange(3 * NUM_IMAGES).reshape(3, NUM_IMAGES, 1)
    np.save(cache.path, rows)
    cache = filled(dataclasses.replace(source, num_variants=3), tmp_path, lenet)
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(cache.batches(batch_size=5, seed=None))
        batch = iterator.get_next()
        session.run(iterator.initializer)
        taken = [session.run(batch) for _ in range(6)]
    numbers = [int(number) for batch in taken for number in batch["features"][:, 0]]
    assert [number % 5 for number in numbers] == [label for batch in taken for label in batch["label"]]
    assert sorted(numbers) == list(range(30)), "three epochs hold each variant of each image once"
    epochs = [numbers[start : start + NUM_IMAGES] for start in (0, 10, 20)]
    orders = [[number % NUM_IMAGES for number in epoch] for epoch in epochs]
    assert all(sorted(order) == list(range(NUM_IMAGES)) for order in orders)
    assert orders[0] != orders[1]
    assert {number // NUM_IMAGES for number in epochs[0]} == {0, 1, 2}


@pytest.mark.slow
def test_a_damaged_file_is_computed_anew(
    source: FeatureSource, lenet: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = filled(source, tmp_path, lenet).path
    whole = file.read_bytes()
    for damaged in (b"", whole[:50], whole[:1000]):
        file.write_bytes(damaged)
        caplog.clear()
        filled(source, tmp_path, lenet)
        assert re.search(r"npy is damaged .*Features to compute", caplog.text, re.DOTALL)
        assert file.read_bytes() == whole
    np.save(file, np.zeros(3))
    filled(source, tmp_path, lenet)
    assert "does not hold what its name says" in caplog.text
    assert file.read_bytes() == whole


def test_a_store_that_fails_is_no_damage(
    source: FeatureSource, lenet: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = type(pytest.importorskip("fsspec").filesystem("memory"))
    url = path_of("memory://feature_cache/failing")
    filled(source, url, lenet)

    def fails(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Forbidden")

    monkeypatch.setattr(files, "get_file", fails)
    with pytest.raises(DataError, match="Cannot copy memory://feature_cache/failing/lenet-.*npy"):
        filled(source, url, lenet)
    assert "damaged" not in caplog.text


def test_a_folder_that_cannot_be_made_is_named(source: FeatureSource, lenet: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"--feature_cache_dir: cannot write .*file/lenet-.*npy"):
        filled(source, tmp_path / "file", lenet)


def test_a_broken_record_is_named_and_leaves_no_features(
    train: Callable[..., Any], tmp_path: Path, records: Path
) -> None:
    folder = Path(shutil.copytree(records, tmp_path / "records"))
    sound = [record for _, record in tfrecords.scan_records(folder / "toy_train.tfrecord")]
    broken = tfrecords.image_example(b"no image", "png", 0, "", 1, 1, "broken.png")
    tfrecords.write_records(folder / "toy_train.tfrecord", [*sound[:-1], broken])
    code, log = train("--cache_features", f"--dataset_dir={folder}")
    assert code == 1
    assert "broken.png" in log
    assert not list((tmp_path / "run" / "feature_cache").iterdir())


def test_records_that_are_missing_do_not_pass_for_all(source: FeatureSource) -> None:
    dataset = dataclasses.replace(source.dataset, num_samples=12)
    with pytest.raises(RunError, match="holds 10 images, and .*info.json says 12"):
        dataclasses.replace(source, dataset=dataset).identity("weights")


_MOBILENET = ("--model_name=mobilenet_v1_025", "--train_image_size=32", "--checkpoint_path=")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--trainable_scopes="], r"6 variables below the features are trained, LeNet/conv1/biases, .*=auto"),
        (["--trainable_scopes=LeNet/fc3,LeNet/fc4"], r"2 variables .*trained, LeNet/fc3/biases, LeNet/fc3/weights:"),
        ([*_MOBILENET, "--freeze_batch_norm=false"], r"batch norm below the features .*--freeze_batch_norm"),
        (["--checkpoint_path="], r"6 variables of the frozen trunk, first .* --checkpoint_path"),
        (["--augmentation=faces"], r"--augmentation=faces distorts images.*--cached_augmentations"),
        (["--random_erasing=0.2"], r"--random_erasing=0\.2 distorts images.*--cached_augmentations"),
        (["--mixup_alpha=0.2", "--cached_augmentations=2"], r"--mixup_alpha=0\.2 mixes"),
        (["--cutmix_alpha=1"], r"--cutmix_alpha=1\.0 mixes"),
        (["--use_synthetic_data"], r"--use_synthetic_data"),
        (["--master=grpc://localhost:1"], r"this is a cluster"),
    ],
)
def test_what_does_not_go_with_cached_features_is_refused_before_anything_is_computed(
    train: Callable[..., Any], tmp_path: Path, flags: list[str], words: str
) -> None:
    code, log = train("--cache_features", *flags)
    assert code == 2
    assert re.search(words, log), log
    assert not (tmp_path / "run").exists()


_NORMALIZED_HEAD = """
import tensorflow as tf
slim = tf.contrib.slim

def mine(images, num_classes, is_training):
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, stride=2):
        net = slim.conv2d(images, 4, 3, scope='conv')
        net = slim.conv2d(net, num_classes, 1, scope='head')
    return tf.reduce_mean(net, [1, 2])

mine.default_image_size = 56
"""


@pytest.mark.slow
def test_a_head_may_have_batch_norm_and_be_pooled_afterwards(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(_NORMALIZED_HEAD)
    net = ("--model_name=mine", f"--model_file={tmp_path / 'mine.py'}", "--train_image_size=28")
    assert train(*net, "--checkpoint_path=", "--trainable_scopes=")[0] == 0
    checkpoint = ("--checkpoint_path=" + str(tmp_path / "run"), f"--train_dir={tmp_path / 'tuned'}")
    code, log = train(*net, *checkpoint, "--cache_features")
    assert code == 0, log
    before, after = variables(tmp_path / "run"), variables(tmp_path / "tuned")
    np.testing.assert_array_equal(after["conv/BatchNorm/moving_mean"], before["conv/BatchNorm/moving_mean"])
    assert not np.array_equal(after["head/BatchNorm/moving_mean"], before["head/BatchNorm/moving_mean"])


def test_a_dry_run_says_where_the_features_are_and_computes_none(train: Callable[..., Any], tmp_path: Path) -> None:
    code, plan = train("--cached_augmentations=2", "--augmentation=faces", "--dry_run")
    assert code == 0
    assert "10 images x 2 distorted variants, 1,024 features each" in plan
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_stopped_while_it_computes_leaves_no_features(
    tmp_path: Path, records: Path, lenet: str, number: signal.Signals
) -> None:
    flags = arguments(records, lenet, tmp_path / "run", "--cached_augmentations=100000")
    process = subprocess.Popen(
        [sys.executable, "-m", "slim_train.cli.train_image_classifier", *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = tmp_path / "run" / "feature_cache"
    deadline = time.monotonic() + 240
    while not any(file.stat().st_size > 1_000_000 for file in folder.glob(".*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(timeout=60)
    left = [file.name for file in folder.iterdir()]
    assert not [name for name in left if not name.startswith(".")]
    if number == signal.SIGTERM:
        assert process.returncode == 0
        assert not left
        assert json.loads((tmp_path / "run" / "result.json").read_text())["stopped_by"] == "SIGTERM"
