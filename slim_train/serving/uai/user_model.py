"""The base class of UAI inference models, and a user's file that is written for it, run as it is.

Those files were written for TensorFlow 1 and import their base class from ``uai``, which is what is here.
"""

from __future__ import annotations

import io
import logging
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from datasets import images
from slim_train.errors import UsageError
from slim_train.serving.errors import RequestError
from slim_train.serving.uai.conf import UaiConf
from slim_train.tf_compat import tf
from slim_train.user_code.files import UserFiles

log = logging.getLogger(__name__)


class Upload(io.BytesIO):
    """The body of a request as UAI models take it: a file, as ``Image.open`` does, and its bytes as ``body``."""

    @property
    def body(self) -> bytes:
        """All of the bytes, wherever the file has been read to."""
        return self.getvalue()


class ArchJsonConfLoader:
    """What a conf.json says of the program; a subclass may read more in ``_load``.

    Attributes:
      conf: the whole content.
      server_conf: its part ``http_server``.
      main_file: module of the user's class.
      main_class: name of the user's class.
    """

    def __init__(self, conf: dict[str, Any]) -> None:
        self.conf = conf
        self._load()

    def _load(self) -> None:
        self.server_conf = self.conf["http_server"]
        self.main_file = self.server_conf["exec"]["main_file"]
        self.main_class = self.server_conf["exec"]["main_class"]

    def get_main_file(self) -> str:
        """Module of the user's class."""
        return self.main_file

    def get_main_class(self) -> str:
        """Return the name of the user's class."""
        return self.main_class


class TFJsonConfLoader(ArchJsonConfLoader):
    """What a conf.json says of a TensorFlow model.

    Attributes:
      model_dir: folder with the model.
    """

    def _load(self) -> None:
        super()._load()
        self.model_dir = self.server_conf["tensorflow"]["model_dir"]

    def get_model_dir(self) -> str:
        """Folder with the model."""
        return self.model_dir


class AiUcloudModel:
    """A model of the user's own.

    Attributes:
      conf: the content of conf.json.
      model_type: ``tensorflow``.
    """

    def __init__(self, conf: dict[str, Any], model_type: str) -> None:
        self.conf, self.model_type = conf, model_type
        self._parse_conf(conf)

    def _parse_conf(self, conf: dict[str, Any]) -> None:
        loader = ArchJsonConfLoader(conf)
        self.main_file, self.main_class = loader.get_main_file(), loader.get_main_class()

    def load_model(self) -> Any:
        """Load what ``execute`` needs. For subclasses."""

    def execute(self, data: Sequence[Upload], batch_size: int) -> Sequence[Any]:
        """Return a result for each of ``batch_size`` requests. For subclasses."""
        raise NotImplementedError


class TFAiUcloudModel(AiUcloudModel):
    """The base class of a user's TensorFlow model: it loads when it is made, and answers in batches.

    Attributes:
      model_dir: folder with the model.
      output: for what ``load_model`` leaves to ``execute``.
      model: what ``load_model`` returned.
    """

    def __init__(self, conf: dict[str, Any], model_type: str = "tensorflow") -> None:
        super().__init__(conf, model_type)
        self.output: dict[str, Any] = {}
        self.model = self.load_model()

    def _parse_conf(self, conf: dict[str, Any]) -> None:
        super()._parse_conf(conf)
        self.model_dir = TFJsonConfLoader(conf).get_model_dir()


class UserModel:
    """A user's class behind the service.

    Args:
      conf: whose ``main_file`` is there.

    Raises:
      UsageError: the file or its class does not load.
    """

    def __init__(self, conf: UaiConf) -> None:
        assert conf.main_file
        self.labels: tuple[str, ...] | None = None
        self._name = conf.main_class
        self._graph = tf.Graph()
        _install_uai_modules()
        self._files = UserFiles(conf.main_file.parent)
        try:
            main_class = getattr(self._files.load(conf.main_file.stem), conf.main_class)
            # Graphs are current for one thread at a time: here and in run, which batching calls on another thread.
            with self._graph.as_default():
                self._model = main_class(conf.content)
        except (Exception, SystemExit) as error:
            self._files.close()
            log.exception("%s does not load.", conf.main_file)
            what = str(error) or type(error).__name__
            raise UsageError(f"{conf.main_file}: class {conf.main_class} does not load: {what}.") from error

    def prepare(self, data: bytes) -> Any:
        """Return the request as ``execute`` takes it."""
        return Upload(data)

    def run(self, batch: list[Any]) -> Sequence[Any]:
        """Return what ``execute`` answers, with NumPy's types turned into Python's."""
        for upload in batch:
            upload.seek(0)
        try:
            with self._graph.as_default():
                return [_plain(result) for result in self._model.execute(batch, len(batch))]
        except BaseException as error:
            if len(batch) == 1:
                _blame_image(batch[0].body, error)
            if isinstance(error, Exception):
                raise
            # SystemExit would silently end the thread that runs batches, and the model with it.
            raise RuntimeError(f"{self._name}.execute raised {type(error).__name__}") from error

    def warm_up(self, max_batch_size: int) -> None:
        """Nothing: what it takes is its own affair."""

    def describe(self) -> dict[str, Any]:
        """Return the name of the class."""
        return {"main_class": self._name}

    def close(self) -> None:
        """Forget the modules of the user; the class has no such method."""
        self._files.close()


def _blame_image(data: bytes, error: BaseException) -> None:
    """Whose fault is an error? Where the request is no whole image, the request's.

    Raises:
      RequestError: 400, what is wrong with the image.
    """
    try:
        images.normalise(data)
    except images.ImageRejected as reason:
        raise RequestError(400, f"The image cannot be read: {reason}.") from error


def _plain(value: Any) -> Any:
    """Return a result as JSON can hold it."""
    if isinstance(value, np.generic):
        return float(str(value)) if isinstance(value, np.floating) else value.item()
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _install_uai_modules() -> None:
    contents: dict[str, tuple[type, ...]] = {
        "uai": (),
        "uai.arch": (),
        "uai.arch.base_model": (AiUcloudModel,),
        "uai.arch.tf_model": (TFAiUcloudModel,),
        "uai.arch_conf": (),
        "uai.arch_conf.base_conf": (ArchJsonConfLoader,),
        "uai.arch_conf.tf_conf": (TFJsonConfLoader,),
    }
    for name, classes in contents.items():
        module = types.ModuleType(name)
        module.__dict__.update({cls.__name__: cls for cls in classes}, __path__=[])
        sys.modules[name] = module
