from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.storage import path_of
from slim_train import config
from slim_train.errors import RunError, UsageError
from slim_train.exporting import check, formats, run
from slim_train.exporting.options import ExportOptions
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor
from slim_train.inference.trained_model import find_trained_model
from slim_train.tf_compat import tf
from slim_train.training_options import UserCodeOptions

Photo = Callable[..., bytes]
FLOWERS = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]

# What someone does who has TensorFlow and none of our packages.
WITHOUT_US = """
import json, sys
for package in ("slim_train", "datasets", "deployment", "tf_slim", "tf_keras"):
    sys.modules[package] = None  # importing it is an error from here on
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images = [tf.io.read_file(path) for path in sys.argv[2:]]
answer = model.signatures["serving_default"](image_bytes=tf.stack(images))
pixels = model.signatures["preprocess"](image_bytes=tf.stack(images))["pixels"]
examples = [
    tf.train.Example(features=tf.train.Features(feature={
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.numpy()]))
    })).SerializeToString()
    for image in images
]
print(json.dumps({
    "classes": [[name.decode() for name in row] for row in answer["classes"].numpy()],
    "scores": answer["scores"].numpy().tolist(),
    "pixels": model.signatures["pixels"](pixels=pixels)["scores"].numpy().tolist(),
    "classify": model.signatures["classify"](inputs=tf.constant(examples))["scores"].numpy().tolist(),
}))
"""


def options(**flags: Any) -> ExportOptions:
    return config.with_values(ExportOptions(), flags)


@pytest.fixture(scope="module")
def exported(training_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    run.run(options(checkpoint_path=str(training_folder), export_dir=str(folder), num_check_images=4))
    return folder


@pytest.fixture
def photos(photo: Photo, tmp_path: Path) -> list[Path]:
    """JPEG in color and grey, PNG, BMP and GIF, each of another size."""
    kinds = [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("BMP", "RGB"), ("GIF", "L")]
    for number, (image_format, mode) in enumerate(kinds):
        data = photo(image_format, size=(100 + 10 * number, 80), mode=mode, seed=number)
        (tmp_path / f"{number}.{image_format.lower()}").write_bytes(data)
    return sorted(tmp_path.iterdir())


def test_a_training_folder_alone_gives_every_format(exported: Path) -> None:
    files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert files == {
        "saved_model/7/saved_model.pb",
        "saved_model/7/assets.extra/model.json",
        "model.pb",
        "model.json",
        "labels.txt",
        "export.json",
        *(f"model_{kind}.tflite" for kind in ("float32", "float16", "int8")),
    }
    assert (exported / "labels.txt").read_text().splitlines() == FLOWERS


def test_the_check_is_written_beside_the_files(exported: Path) -> None:
    result = json.loads((exported / "export.json").read_text())
    assert (result["checkpoint"], result["step"]) == ("model.ckpt-7", 7)
    largest = {file["format"]: file["difference"]["largest"] for file in result["files"]}
    assert largest["SavedModel"] < 1e-5
    assert largest["frozen graph"] < 1e-5
    assert largest["TFLite float32"] < 1e-4
    assert 0 < largest["TFLite float16"] < 0.02
    assert 0 < largest["TFLite int8"] < 0.5
    assert all(file["difference"]["pictures"] == 4 for file in result["files"])


@pytest.mark.slow
def test_the_saved_model_needs_nothing_but_tensorflow(
    exported: Path, training_folder: Path, photos: list[Path], tmp_path: Path
) -> None:
    model = exported / "saved_model" / "7"
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, str(model), *map(str, photos)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    expected = load_predictor(training_folder).predict([path.read_bytes() for path in photos])
    assert answer["classes"] == [FLOWERS] * len(photos)
    for way in ("scores", "pixels", "classify"):
        np.testing.assert_allclose(answer[way], expected, atol=1e-5)


@pytest.mark.parametrize(("image_format", "mode"), [("BMP", "RGB"), ("GIF", "L"), ("PNG", "RGB"), ("JPEG", "L")])
def test_nets_on_grey_pictures_take_every_kind_too(
    image_format: str, mode: str, training_folder: Path, photo: Photo
) -> None:
    grey = find_trained_model(training_folder, ModelOverrides(channels=1))
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        encoded = tf.placeholder(tf.string, [])
        decoded = formats.decode(grey, encoded)
        ours = session.run(decoded, {encoded: photo(image_format, mode=mode)})
        expected = session.run(decoded, {encoded: photo("PNG", mode="L")})
    assert np.abs(ours - expected).mean() < 3


def test_signatures_are_what_tensorflow_serving_expects(exported: Path) -> None:
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        signatures = tf.saved_model.loader.load(session, ["serve"], str(exported / "saved_model" / "7")).signature_def
        shapes = {
            f"{name}/{key}": (graph.get_tensor_by_name(entry.name).shape.as_list(), tf.as_dtype(entry.dtype).name)
            for name, signature in signatures.items()
            for entries in (signature.inputs, signature.outputs)
            for key, entry in entries.items()
        }
    answers = {"classes": ([None, 5], "string"), "scores": ([None, 5], "float32")}
    assert shapes == {
        "serving_default/image_bytes": ([None], "string"),
        "pixels/pixels": ([None, 64, 64, 3], "float32"),
        "classify/inputs": ([None], "string"),
        "preprocess/image_bytes": ([None], "string"),
        "preprocess/pixels": ([None, 64, 64, 3], "float32"),
        **{f"{name}/{key}": answers[key] for name in ("serving_default", "pixels", "classify") for key in answers},
    }
    methods = {name: signature.method_name.rpartition("/")[2] for name, signature in signatures.items()}
    assert methods == {
        "serving_default": "predict",
        "pixels": "predict",
        "preprocess": "predict",
        "classify": "classify",
    }


@pytest.mark.parametrize("file", ["", "saved_model", "saved_model/7", "model.pb"])
def test_every_export_is_read_back(file: str, exported: Path, training_folder: Path, photo: Photo) -> None:
    predictor, trained = load_predictor(exported / file), load_predictor(training_folder)
    assert (predictor.name, predictor.labels, predictor.image_size, predictor.channels) == (
        trained.name,
        trained.labels,
        trained.image_size,
        trained.channels,
    )
    pictures = [photo(), photo("PNG", seed=1)]
    np.testing.assert_allclose(predictor.predict(pictures), trained.predict(pictures), atol=1e-5)


def test_nothing_in_the_saved_model_is_compiled_for_this_machine(exported: Path) -> None:
    content = (exported / "saved_model" / "7" / "saved_model.pb").read_bytes()
    assert b"map/while" in content  # what decodes
    assert b"_XlaMustCompile" not in content


@pytest.mark.parametrize("file", ["saved_model/7", "model.pb"])
def test_an_export_cannot_be_told_another_size_or_number_of_classes(file: str, exported: Path) -> None:
    with pytest.raises(UsageError, match="takes images of 64x64 pixels"):
        load_predictor(exported / file, ModelOverrides(input_width=299))
    with pytest.raises(UsageError, match="has 5 scores, but --labels names 2 classes"):
        load_predictor(exported / file, ModelOverrides(labels=("yes", "no")))


@pytest.mark.slow
def test_every_export_of_a_large_photograph_answers_as_the_checkpoint_does(
    exported: Path, training_folder: Path, photo
) -> None:
    large = [photo(size=(1200, 900))]
    expected = load_predictor(training_folder).predict(large)
    in_full = load_predictor(training_folder, ModelOverrides(scaled_decoding="never")).predict(large)
    assert np.abs(expected - in_full).max() > 0
    for file in ("saved_model/7", "model.pb"):
        np.testing.assert_allclose(load_predictor(exported / file).predict(large), expected, atol=1e-5)
    graph = load_predictor(exported / "model.pb", ModelOverrides(scaled_decoding="never"))
    np.testing.assert_allclose(graph.predict(large), in_full, atol=1e-5)
    with pytest.raises(UsageError, match="--scaled_decoding=never: .* Export again"):
        load_predictor(exported / "saved_model", ModelOverrides(scaled_decoding="never"))


@pytest.mark.slow
def test_preprocessing_of_a_user_gets_all_pixels_of_an_image_that_is_converted_first(
    training_folder: Path, photo: Photo, tmp_path: Path
) -> None:
    (tmp_path / "prep.py").write_text(
        "import tensorflow as tf\n"
        "def preprocess_image(image, output_height, output_width, is_training):\n"
        "    return tf.fill([output_height, output_width, 3], tf.cast(tf.shape(image)[0], tf.float32))\n"
    )
    code, export_dir = {"preprocessing_file": str(tmp_path / "prep.py")}, tmp_path / "export"
    run.run(options(checkpoint_path=str(training_folder), export_dir=str(export_dir), num_check_images=0, **code))
    trained = load_predictor(training_folder, ModelOverrides(code=UserCodeOptions(**code)))
    for predictor in (trained, *(load_predictor(export_dir / file) for file in ("saved_model/7", "model.pb"))):
        with predictor:
            assert predictor.prepare(photo(size=(1600, 1200), mode="CMYK")).max() == 1200


def test_an_input_described_by_hand_must_be_of_floats(exported: Path) -> None:
    with pytest.raises(UsageError, match="has no input of floats"):
        load_predictor(exported / "saved_model", ModelOverrides(input_mean=127.5))


def test_the_frozen_graph_also_takes_what_preprocessing_makes(exported: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(tf.GraphDef.FromString((exported / "model.pb").read_bytes()), name="")
        ours = session.run("scores:0", {"pixels:0": pixels})
        of_research_slim = session.run("CifarNet/Predictions/Reshape_1:0", {"input:0": pixels / 127.5 - 1})
    np.testing.assert_allclose(ours, of_research_slim, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_tflite_models_take_any_number_of_images(kind: str, exported: Path) -> None:
    interpreter = tf.lite.Interpreter(model_path=str(exported / f"model_{kind}.tflite"))
    (details,) = interpreter.get_input_details()
    assert details["shape_signature"].tolist() == [-1, 64, 64, 3]
    interpreter.resize_tensor_input(details["index"], [3, 64, 64, 3])
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], np.zeros((3, 64, 64, 3), np.float32))
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(scores.sum(axis=1), np.ones(3), atol=1e-4)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [pytest.param("fp16", 0.01, marks=pytest.mark.slow), ("bf16", 0.08)]
)
def test_weights_in_16_bits_halve_the_frozen_graph(
    precision: str, tolerance: float, exported: Path, training_folder: Path, tmp_path: Path
) -> None:
    run.run(
        options(
            checkpoint_path=str(training_folder),
            precision=precision,
            output_file=str(tmp_path / "half.pb"),
            num_check_images=2,
        )
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half.json", "half.pb"]
    full, half = ((path).stat().st_size for path in (exported / "model.pb", tmp_path / "half.pb"))
    assert half < 0.65 * full
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    ours, theirs = (load_predictor(path).scores(pixels) for path in (exported / "model.pb", tmp_path / "half.pb"))
    np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_a_later_version_that_stays_the_one_to_be_served_is_told_of(
    training_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"checkpoint_path": str(training_folder), "export_dir": str(tmp_path), "formats": "saved_model"}
    run.run(options(num_check_images=0, **flags))
    assert "is there too" not in caplog.text
    (tmp_path / "saved_model" / "7").rename(tmp_path / "saved_model" / "12")
    run.run(options(num_check_images=0, **flags))
    assert "saved_model/12 is there too, and servers and label_image take it" in caplog.text


def test_a_saved_model_that_is_not_exported_again_is_told_of(
    training_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"checkpoint_path": str(training_folder), "export_dir": str(tmp_path)}
    run.run(options(num_check_images=0, formats="saved_model", **flags))
    (tmp_path / "saved_model" / "7").rename(tmp_path / "saved_model" / "3")
    run.run(options(num_check_images=0, formats="frozen", **flags))
    assert "saved_model/3 is there too, and servers and label_image take it" in caplog.text


def test_a_frozen_graph_may_not_take_the_name_of_the_file_beside_it(training_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="call it .pb"):
        run.run(options(checkpoint_path=str(training_folder), output_file=str(tmp_path / "graph.json")))


def test_exporting_again_replaces_what_was_there(training_folder: Path, tmp_path: Path) -> None:
    flags = {"checkpoint_path": str(training_folder), "export_dir": str(tmp_path), "formats": "saved_model"}
    for _ in range(2):
        run.run(options(num_check_images=1, **flags))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "labels.txt", "saved_model"]
        assert [path.name for path in (tmp_path / "saved_model").iterdir()] == ["7"]


@pytest.mark.parametrize("place", ["out/model.pb", "out/saved_model/7"])
def test_a_folder_of_something_else_is_left_alone(place: str, training_folder: Path, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "thesis.tex").touch()
    flags = {"checkpoint_path": str(training_folder), "export_dir": str(tmp_path / "out"), "num_check_images": 0}
    with pytest.raises(UsageError, match="is not a SavedModel"):
        run.run(options(formats="saved_model,frozen", **flags))
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [f"{place}/thesis.tex"]


def test_a_folder_of_something_else_at_a_url_is_left_alone_and_a_part_of_an_upload_is_replaced(
    training_folder: Path,
) -> None:
    version = path_of("ram://exporting/out/saved_model/7")
    (version / "thesis.tex").write_text("pages")
    (version / "variables" / "variables.index").write_text("of an interrupted upload")
    flags = {"checkpoint_path": str(training_folder), "export_dir": "ram://exporting/out", "num_check_images": 0}
    with pytest.raises(UsageError, match="saved_model/7 is not a SavedModel: move it"):
        run.run(options(formats="saved_model", **flags))
    assert [path.name for path in version.iterdir()] == ["thesis.tex", "variables"]
    (version / "thesis.tex").unlink()
    run.run(options(formats="saved_model", **flags))
    assert (version / "saved_model.pb").is_file()


@pytest.mark.slow
def test_a_file_that_does_not_match_the_checkpoint_is_not_exported(
    mobilenet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another(path: Path, graph_def: Any, info: Any) -> None:
        wrong = tf.GraphDef()
        wrong.CopyFrom(graph_def)
        for node in wrong.node:
            if node.name.endswith("Logits/Conv2d_1c_1x1/biases"):
                node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.arange(5, dtype=np.float32)))
        path.write_bytes(wrong.SerializeToString())

    monkeypatch.setattr(formats, "write_frozen", write_another)
    with pytest.raises(RunError, match="frozen graph does not match the checkpoint"):
        run.run(options(checkpoint_path=str(mobilenet_folder), export_dir=str(tmp_path / "out"), formats="frozen"))
    assert list((tmp_path / "out").iterdir()) == []


def test_pictures_for_the_check_can_be_given(training_folder: Path, photos: list[Path], tmp_path: Path) -> None:
    flags = {"checkpoint_path": str(training_folder), "export_dir": str(tmp_path / "out"), "formats": "frozen"}
    run.run(options(check_images=str(photos[0].parent), **flags))
    (file,) = json.loads((tmp_path / "out" / "export.json").read_text())["files"]
    assert file["difference"]["pictures"] == len(photos)


def test_pictures_come_from_the_data_set_where_it_is_there(photo: Photo, tmp_path: Path) -> None:
    pictures = [photo("PNG", seed=seed) for seed in range(3)]
    feature = tf.train.Feature
    with tf.io.TFRecordWriter(str(tmp_path / "few_test.tfrecord")) as writer:
        for data in pictures:
            value = feature(bytes_list=tf.train.BytesList(value=[data]))
            example = tf.train.Example(features=tf.train.Features(feature={"image/encoded": value}))
            writer.write(example.SerializeToString())
    info = {"name": "few", "num_class": 2, "num_sample_train": 0, "num_sample_test": 3}
    (tmp_path / "info.json").write_text(json.dumps(info))
    assert check.images_of_data_set(None, str(tmp_path), 2) == pictures[:2]
    assert check.images_of_data_set(None, str(tmp_path / "gone"), 2) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "--train_dir is missing"),
        ({"is_training": True}, "--is_training"),
        ({"write_text_graphdef": True}, "--write_text_graphdef"),
        ({"batch_size": 1}, "--batch_size"),
        ({"export_dir": "a", "output_file": "b.pb"}, "not both"),
        ({"check_images": "gone.jpg"}, "--check_images"),
    ],
)
def test_flags_that_contradict_each_other_are_usage_errors(
    flags: dict[str, Any], message: str, training_folder: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run.run(options(**flags, **({"checkpoint_path": str(training_folder)} if flags else {})))


def test_another_data_set_than_trained_on_is_a_usage_error(training_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "info.json").write_text(json.dumps({"num_class": 5, "num_sample_train": 1, "num_sample_test": 0}))
    (tmp_path / "labels.txt").write_text("".join(f"{label}:{name}\n" for label, name in enumerate(FLOWERS[::-1])))
    with pytest.raises(UsageError, match="label 0 is 'daisy'"):
        run.run(options(checkpoint_path=str(training_folder), dataset_dir=str(tmp_path)))
