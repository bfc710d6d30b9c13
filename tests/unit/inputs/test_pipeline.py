import collections
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import tfrecords
from datasets.spec import DatasetSpec
from slim_train.inputs import pipeline
from slim_train.tf_compat import tf
from slim_train.training_options import AugmentationOptions

CLASSES = 3


def _jpeg(shade, size=(20, 16), mode="L"):
    buffer = io.BytesIO()
    Image.new(mode, size, shade if mode == "L" else (shade, 0, 255 - shade)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _records(labels, encoded=None):
    return [
        tfrecords.image_example(encoded or _jpeg(10 * index), "jpeg", label, "name", 16, 20, f"{index}.jpg")
        for index, label in enumerate(labels)
    ]


def _dataset(folder, *shards):
    """A split whose shards hold the given serialized examples."""
    files = []
    for number, records in enumerate(shards):
        files.append(str(folder / f"toy_train-{number:05}-of-{len(shards):05}.tfrecord"))
        tfrecords.write_records(files[-1], records)
    return DatasetSpec("toy", "train", str(folder), tuple(files), CLASSES, sum(map(len, shards)), ("a", "b", "c"))


def _arguments(**changes):
    return {
        "batch_size": 4, "image_size": 8, "channels": 3, "preprocessing": "lenet", "num_classes": CLASSES, **changes,
    }  # fmt: skip


def _take(batches, count=None):
    """``count`` batches, or all of them, as dicts of arrays."""
    taken = []
    with tf.Graph().as_default() as graph:
        iterator = tf.data.make_initializable_iterator(batches())
        batch = iterator.get_next()
        with tf.Session(graph=graph) as session:
            session.run(iterator.initializer)
            while count is None or len(taken) < count:
                try:
                    taken.append(session.run(batch))
                except tf.errors.OutOfRangeError:
                    break
    return taken


def _training(dataset, count, **changes):
    return _take(lambda: pipeline.training_batches(dataset, **_arguments(**changes)), count)


def _evaluation(dataset, **changes):
    return _take(lambda: pipeline.evaluation_batches(dataset, **_arguments(**changes)))


def test_training_batches_are_full_and_shaped_for_the_net(tmp_path):
    dataset = _dataset(tmp_path, _records([0, 1, 2, 0, 1]))
    for batch in _training(dataset, 5):
        assert batch["image"].shape == (4, 8, 8, 3)
        assert batch["image"].dtype == np.float32
        assert batch["label"].dtype == np.int64


@pytest.mark.parametrize("shards", [1, 3])
def test_every_epoch_holds_every_record_once(tmp_path, shards):
    records = _records([index % CLASSES for index in range(12)])
    dataset = _dataset(tmp_path, *(records[number::shards] for number in range(shards)))
    shades = [round(float(value), 2) for batch in _training(dataset, 6, seed=7) for value in batch["image"][:, 0, 0, 0]]
    first, second = shades[:12], shades[12:]
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 12
    assert first != second


def test_the_same_seed_gives_the_same_batches_and_another_does_not(tmp_path):
    dataset = _dataset(tmp_path, _records([0, 1, 2] * 8))
    runs = [_training(dataset, 4, seed=seed, preprocessing="inception") for seed in (5, 5, 6)]
    images = [np.concatenate([batch["image"] for batch in run]) for run in runs]
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_replicas_read_different_orders(tmp_path):
    dataset = _dataset(tmp_path, _records([0, 1, 2] * 8))
    runs = [_training(dataset, 4, seed=5, shard_index=index, num_shards=2) for index in (0, 1)]
    assert not np.array_equal(*(np.concatenate([batch["image"] for batch in run]) for run in runs))


@pytest.mark.parametrize(("num_files", "words"), [(2, "1 of 2 files"), (1, "by record")])
def test_shards_share_the_data_between_them(tmp_path, num_files, words, caplog):
    records = _records([index % CLASSES for index in range(8)])
    dataset = _dataset(tmp_path, *(records[number::num_files] for number in range(num_files)))
    caplog.set_level("INFO")
    shades = []
    for index in (0, 1):
        (batch,) = _training(dataset, 1, shard=True, shard_index=index, num_shards=2)
        shades += [round(float(value), 2) for value in batch["image"][:, 0, 0, 0]]
    assert len(set(shades)) == 8
    assert words in caplog.text


def test_synthetic_batches_repeat_one_batch_of_noise_that_fits_the_net():
    first, second = _take(
        lambda: pipeline.synthetic_batches(batch_size=64, image_size=8, channels=3, num_classes=CLASSES), 2
    )
    assert first["image"].shape == (64, 8, 8, 3)
    assert first["image"].dtype == np.float32
    assert first["image"].std() > 0.5
    assert set(first["label"]) == set(range(CLASSES))
    assert (first["image"] == second["image"]).all()


def test_evaluation_holds_every_record_once_in_order_and_masks_the_padding(tmp_path):
    dataset = _dataset(tmp_path, _records([0, 1, 2, 0]), _records([1, 2]))
    batches = _evaluation(dataset)
    assert [batch["mask"].tolist() for batch in batches] == [[True] * 4, [True, True, False, False]]
    labels = np.concatenate([batch["label"][batch["mask"]] for batch in batches])
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert batches[0]["filename"].tolist() == [b"0.jpg", b"1.jpg", b"2.jpg", b"3.jpg"]
    assert batches[0]["encoded"][1] == _jpeg(10)


def test_labels_offset_is_subtracted(tmp_path):
    dataset = _dataset(tmp_path, _records([1, 2, 1, 2]))
    assert _evaluation(dataset, labels_offset=1, num_classes=2)[0]["label"].tolist() == [0, 1, 0, 1]


def test_records_of_other_tools_need_only_three_keys(tmp_path):
    feature = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[_jpeg(50)])),
        "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"jpg"])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[2])),
    }
    record = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    assert _evaluation(_dataset(tmp_path, [record]))[0]["label"][0] == 2


def test_each_clone_takes_a_batch_of_its_own(tmp_path):
    dataset = _dataset(tmp_path, _records([index % CLASSES for index in range(8)]))
    with tf.Graph().as_default() as graph:
        next_batch = pipeline.batch_source(pipeline.training_batches(dataset, **_arguments()), num_clones=2)
        clones = [next_batch()["image"][:, 0, 0, 0] for _ in range(2)]
        with tf.Session(graph=graph) as session:
            session.run(tf.tables_initializer())
            taken = collections.Counter(round(float(v), 2) for values in session.run(clones) for v in values)
    assert len(taken) == 8


def _explained(dataset):
    with pytest.raises(tf.errors.OpError) as caught:
        _evaluation(dataset)
    return str(pipeline.explain_input_error(caught.value, dataset))


def test_a_label_out_of_range_names_the_record_and_the_label(tmp_path):
    dataset = _dataset(tmp_path, _records([0, 1, 7]))
    words = _explained(dataset)
    for part in (dataset.files[0], "2.jpg", "label 7", "0..2"):
        assert part in words


def test_an_image_that_cannot_be_decoded_is_named_by_file_and_byte(tmp_path):
    good, bad = _records([0, 1]), tfrecords.image_example(b"\xff\xd8\xff junk", "jpeg", 0, "a", 1, 1, "bad.jpg")
    dataset = _dataset(tmp_path, [*good, bad])
    words = _explained(dataset)
    offset = sum(len(tfrecords.frame(record)) for record in good)
    for part in (dataset.files[0], f"byte {offset}", "bad.jpg"):
        assert part in words


def test_a_record_without_a_label_is_named(tmp_path):
    feature = {"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[_jpeg(50)]))}
    record = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    dataset = _dataset(tmp_path, [record])
    words = _explained(dataset)
    assert dataset.files[0] in words
    assert "image/class/label" in words


def test_damaged_bytes_are_named_by_file_and_byte(tmp_path):
    records = _records([0, 1, 2])
    dataset = _dataset(tmp_path, records)
    first = len(tfrecords.frame(records[0]))
    with Path(dataset.files[0]).open("r+b") as file:
        file.seek(first + 40)
        file.write(b"\0\0\0\0")
    words = _explained(dataset)
    assert dataset.files[0] in words
    assert f"byte {first}" in words


def test_a_file_cut_short_is_named_with_the_record_that_is_missing_its_end(tmp_path):
    records = _records([0, 1, 2])
    dataset = _dataset(tmp_path, records)
    path = Path(dataset.files[0])
    path.write_bytes(path.read_bytes()[:-20])
    words = _explained(dataset)
    last = sum(len(tfrecords.frame(record)) for record in records[:2])
    for part in (dataset.files[0], f"byte {last}", "truncated"):
        assert part in words


def test_an_image_cut_short_is_named_by_file_and_byte(tmp_path):
    whole = _jpeg(90, size=(60, 40), mode="RGB")
    bad = tfrecords.image_example(whole[: len(whole) // 2], "jpeg", 0, "a", 40, 60, "half.jpg")
    dataset = _dataset(tmp_path, _records([0, 1]), [*_records([2]), bad])
    words = _explained(dataset)
    offset = len(tfrecords.frame(_records([2])[0]))
    for part in (dataset.files[1], f"byte {offset}", "half.jpg"):
        assert part in words


def test_an_error_that_is_not_the_inputs_is_not_explained(tmp_path):
    dataset = _dataset(tmp_path, _records([0]))
    error = tf.errors.InvalidArgumentError(None, None, "Matrix size-incompatible")
    assert pipeline.explain_input_error(error, dataset) is None


@pytest.mark.parametrize("preprocessing", ["lenet", pytest.param("inception", marks=pytest.mark.slow)])
def test_mixing_and_erasing_repeat_with_the_seed_and_keep_batches_in_shape(tmp_path, preprocessing):
    dataset = _dataset(tmp_path, _records([0, 1, 2] * 8))
    changes = {
        "seed": 5,
        "preprocessing": preprocessing,
        "augmentation": AugmentationOptions("faces", random_erasing=0.5, mixup_alpha=0.2, cutmix_alpha=1.0),
    }
    first, again = (_training(dataset, 3, **changes) for _ in range(2))
    for batch, other in zip(first, again, strict=True):
        assert batch["image"].shape == (4, 8, 8, 3) and batch["image"].dtype == np.float32
        np.testing.assert_array_equal(batch["mixed_label"], batch["label"][::-1])
        for name in ("image", "label", "mixed_label", "label_weight"):
            np.testing.assert_array_equal(batch[name], other[name])


def test_batches_that_are_not_mixed_have_one_label_alone(tmp_path):
    dataset = _dataset(tmp_path, _records([0, 1, 2, 0]))
    # Of 32 pixels: in a smaller image the flattest rectangle may lie between two rows.
    (batch,) = _training(dataset, 1, image_size=32, augmentation=AugmentationOptions(random_erasing=1.0))
    assert batch.keys() == {"image", "label"}
    assert (batch["image"] == 0).any(axis=(1, 2, 3)).all()
