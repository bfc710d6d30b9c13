"""Train, fine-tune, evaluate, export and serve TF-Slim image classifiers on today's TensorFlow.

>>> import slim_train as st
>>> st.convert("photos", "data/pets")
>>> run = st.train("data/pets", "models/pets", model_name="mobilenet_v2", num_epochs=5)
>>> st.evaluate("models/pets").accuracy
>>> with st.load("models/pets") as classifier:
...     classifier.predict(["cat.jpg"])

What ``__all__`` lists is public; everything else may change. TensorFlow is imported by the first call that needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from slim_train import own_packages

if TYPE_CHECKING:
    from slim_train.api.classify_images import classify_images
    from slim_train.api.compare_runs import compare_runs
    from slim_train.api.conversion import ConversionReport
    from slim_train.api.convert import convert
    from slim_train.api.evaluate import evaluate
    from slim_train.api.export import export
    from slim_train.api.extract_features import extract_features
    from slim_train.api.inspect_dataset import inspect_dataset
    from slim_train.api.inspection import InspectionReport
    from slim_train.api.list_models import ModelInfo, list_models
    from slim_train.api.load import load
    from slim_train.api.retrain import retrain
    from slim_train.api.train import train
    from slim_train.bulk.classify import ClassifyReport
    from slim_train.bulk.extract import ExtractionReport
    from slim_train.errors import RunError, UsageError
    from slim_train.evaluation.compare import Comparison
    from slim_train.evaluation.report import EvaluationReport
    from slim_train.exporting.run import ExportReport
    from slim_train.extensions import register_augmentation, register_loss, register_optimizer
    from slim_train.inference.classifier import Classifier, Prediction
    from slim_train.nets.factory import register_net
    from slim_train.nets.record import NetRecord
    from slim_train.preprocessing.factory import register_preprocessing
    from slim_train.preprocessing.recipe import Recipe
    from slim_train.retraining.report import RetrainReport
    from slim_train.training.hooks.validation import Evaluated
    from slim_train.training.result import TrainingResult
    from slim_train.user_code.data_sets import register_dataset

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "ClassifyReport",
    "Comparison",
    "ConversionReport",
    "Evaluated",
    "EvaluationReport",
    "ExportReport",
    "ExtractionReport",
    "InspectionReport",
    "ModelInfo",
    "NetRecord",
    "Prediction",
    "Recipe",
    "RetrainReport",
    "RunError",
    "TrainingResult",
    "UsageError",
    "__version__",
    "classify_images",
    "compare_runs",
    "convert",
    "evaluate",
    "export",
    "extract_features",
    "inspect_dataset",
    "list_models",
    "load",
    "register_augmentation",
    "register_dataset",
    "register_loss",
    "register_net",
    "register_optimizer",
    "register_preprocessing",
    "retrain",
    "train",
]

# Where each public name is defined. It is imported when it is first used.
_HOMES = {
    "Classifier": "slim_train.inference.classifier",
    "Comparison": "slim_train.evaluation.compare",
    "ConversionReport": "slim_train.api.conversion",
    "Evaluated": "slim_train.training.hooks.validation",
    "EvaluationReport": "slim_train.evaluation.report",
    "ExportReport": "slim_train.exporting.run",
    "ClassifyReport": "slim_train.bulk.classify",
    "ExtractionReport": "slim_train.bulk.extract",
    "InspectionReport": "slim_train.api.inspection",
    "ModelInfo": "slim_train.api.list_models",
    "NetRecord": "slim_train.nets.record",
    "Prediction": "slim_train.inference.classifier",
    "Recipe": "slim_train.preprocessing.recipe",
    "RetrainReport": "slim_train.retraining.report",
    "RunError": "slim_train.errors",
    "TrainingResult": "slim_train.training.result",
    "UsageError": "slim_train.errors",
    "compare_runs": "slim_train.api.compare_runs",
    "convert": "slim_train.api.convert",
    "evaluate": "slim_train.api.evaluate",
    "export": "slim_train.api.export",
    "classify_images": "slim_train.api.classify_images",
    "extract_features": "slim_train.api.extract_features",
    "inspect_dataset": "slim_train.api.inspect_dataset",
    "list_models": "slim_train.api.list_models",
    "load": "slim_train.api.load",
    "register_augmentation": "slim_train.extensions",
    "register_dataset": "slim_train.user_code.data_sets",
    "register_loss": "slim_train.extensions",
    "register_net": "slim_train.nets.factory",
    "register_optimizer": "slim_train.extensions",
    "register_preprocessing": "slim_train.preprocessing.factory",
    "retrain": "slim_train.api.retrain",
    "train": "slim_train.api.train",
}

if not own_packages.is_command() and (_conflict := own_packages.conflict()):
    raise ImportError(_conflict)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slim_train' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
