from __future__ import annotations

import sys
import types
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf2
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from slim_train.errors import RunError, UsageError
from slim_train.retraining.modules import load_module
from slim_train.retraining.options import ModuleOptions
from slim_train.retraining.saved_models import find_folder, open_signature
from slim_train.tf_compat import tf

PICTURES = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)


class MeanColour(tf2.Module):
    def __init__(self, size: int | None) -> None:
        super().__init__()
        self.scale = tf2.Variable(10.0)
        self.spec = tf2.TensorSpec([None, size, size, 3], tf2.float32)

    def trace(self) -> Any:
        return tf2.function(lambda images: {"feature_vector": self.call(images)}).get_concrete_function(self.spec)

    def call(self, images: Any) -> Any:
        return self.scale * tf2.reduce_mean(images, axis=[1, 2])


class CallableMeanColour(MeanColour):
    def __init__(self, size: int | None) -> None:
        super().__init__(size)
        self.__call__ = tf2.function(self.call, input_signature=[self.spec])


def mean_colours(folder: Path) -> np.ndarray:
    module = load_module(ModuleOptions(tfhub_module=str(folder)))
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3])
        return session.run(module.features(images), {images: PICTURES})


def test_a_tf2_saved_model_gives_its_serving_signature(tmp_path: Path):
    module = MeanColour(8)
    tf2.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.trace()})
    np.testing.assert_allclose(mean_colours(tmp_path), 10 * PICTURES.mean(axis=(1, 2)), rtol=1e-5)


def test_a_tf2_saved_model_without_signatures_is_called(tmp_path: Path):
    tf2.saved_model.save(CallableMeanColour(8), str(tmp_path))
    np.testing.assert_allclose(mean_colours(tmp_path), 10 * PICTURES.mean(axis=(1, 2)), rtol=1e-5)


def test_a_tf2_saved_model_of_any_size_is_called_with_the_size_asked_for(tmp_path: Path):
    tf2.saved_model.save(CallableMeanColour(None), str(tmp_path))
    module = load_module(ModuleOptions(tfhub_module=str(tmp_path), image_size=20))
    assert (module.height, module.num_features) == (20, 3)


def test_a_saved_model_that_cannot_be_called_is_refused(tmp_path: Path):
    tf2.saved_model.save(MeanColour(8), str(tmp_path))
    with pytest.raises(UsageError, match="no signature and cannot be called"):
        load_module(ModuleOptions(tfhub_module=str(tmp_path)))


def attach(folder: Path, key: bytes, message: bytes) -> None:
    """Attach a message as tensorflow_hub does, serialized by hand: fields of bytes have the tags 10 and 18."""
    path = folder / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    attachment = bytes([10, len(key)]) + key + bytes([18, len(message)]) + message
    saved_model.meta_graphs[0].collection_def["hub_module_attachments"].bytes_list.value.append(attachment)
    path.write_bytes(saved_model.SerializeToString())


def test_the_image_size_may_be_in_an_attached_message(tmp_path: Path, save_module: Callable[..., Path]):
    folder = save_module(tmp_path / "module", lambda images: tf.reduce_mean(images, axis=[1, 2]), size=None)
    attach(folder, b"another", b"\x01")
    attach(folder, b"image_module_info", bytes([10, 4, 8, 96, 16, 112]))  # {1: {1: 96, 2: 112}}
    with open_signature(folder, 224) as signature:
        assert (signature.fixed_size, signature.default_size) == (None, (96, 112))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda images: {"a": images[:, 0, 0], "b": images[:, 0, 1]}, "gives a float32 .*, b float32 .*cannot be told"),
        (lambda images: tf.cast(images[:, 0, 0], tf.int32), "gives int32"),
    ],
)
def test_outputs_that_are_no_features_are_described(
    tmp_path: Path, save_module: Callable[..., Path], build: Callable[[Any], Any], words: str
):
    with pytest.raises(UsageError, match=words):
        load_module(ModuleOptions(tfhub_module=str(save_module(tmp_path / "module", build))))


def test_a_module_that_takes_no_pictures_is_refused(tmp_path: Path):
    module = tf2.Module()
    lower = tf2.function(tf2.strings.lower).get_concrete_function(tf2.TensorSpec([None], tf2.string))
    tf2.saved_model.save(module, str(tmp_path), signatures={"serving_default": lower})
    with pytest.raises(UsageError, match=r"takes input string \[-1\]"):
        load_module(ModuleOptions(tfhub_module=str(tmp_path)))


def test_a_module_for_training_only_is_refused(tmp_path: Path):
    saved_model = SavedModel()
    saved_model.meta_graphs.add().meta_info_def.tags.append("train")
    (tmp_path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    with pytest.raises(UsageError, match="no graph for inference.*train"):
        load_module(ModuleOptions(tfhub_module=str(tmp_path)))


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(UsageError, match=r"saved_model\.pb cannot be read"):
        load_module(ModuleOptions(tfhub_module=str(tmp_path)))


def test_a_folder_that_is_no_module_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"holds no saved_model\.pb"):
        find_folder(str(tmp_path))
    with pytest.raises(UsageError, match=r"is not a folder: give the folder of a module, or .* https://tfhub\.dev/"):
        find_folder(str(tmp_path / "missing"))


def test_a_handle_takes_tensorflow_hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(UsageError, match=r"slim-train\[hub\]"):
        find_folder("https://tfhub.dev/google/imagenet/inception_v3/feature_vector/3")


def fake_hub(resolve: Callable[[str], str]) -> types.ModuleType:
    module = types.ModuleType("tensorflow_hub")
    module.resolve = resolve
    return module


def test_a_handle_becomes_the_folder_that_tensorflow_hub_keeps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", fake_hub(lambda handle: str(tmp_path / handle[-1])))
    assert find_folder("https://tfhub.dev/some/module/3") == tmp_path / "3"


def test_a_handle_that_cannot_be_fetched_fails_with_its_reason(monkeypatch: pytest.MonkeyPatch):
    def offline(handle: str) -> str:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setitem(sys.modules, "tensorflow_hub", fake_hub(offline))
    with pytest.raises(RunError, match="https://tfhub.dev/some/module/3 cannot be fetched .*Name or service"):
        find_folder("https://tfhub.dev/some/module/3")
