"""The files of an export for PyTorch: a state dict that timm's model takes, and timm's description of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError
from slim_train.inference.trained_model import TrainedModel
from slim_train.interchange import torch_config
from slim_train.interchange.torch_files import require_safetensors, write_state_dict
from slim_train.interchange.torch_names import MODELS, TimmModel, why_not
from slim_train.interchange.torch_state import to_state_dict
from slim_train.tf_compat import slim, tf

# The name that timm looks for in a folder.
FILE = "model.safetensors"


def describe(trained: TrainedModel) -> tuple[TimmModel, dict[str, Any]]:
    """Return timm's model of a net, and its config.

    Raises:
      UsageError: timm has no model that computes what the net does on such images, or safetensors is not installed.
    """
    require_safetensors("--formats=torch")
    spec = trained.spec
    model = None if spec.net.digest else MODELS.get(spec.name)
    if model is None:
        reason = "is not a net of the zoo" if spec.net.digest else why_not(spec.name)
        raise UsageError(f"--formats=torch: {spec.name} {reason}. Leave torch out of --formats.")
    return model, torch_config.timm_config(model, trained.labels, spec.image_size, spec.channels, spec.preprocessing)


def write_torch(path: Path, trained: TrainedModel) -> None:
    """Write a state dict as safetensors, and ``config.json`` beside it: together they are a folder that timm loads.

    The model takes images as the config says, and returns logits.

    Raises:
      UsageError: as for :func:`describe`.
      RunError: the checkpoint does not fit the net.
    """
    model, config = describe(trained)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        trained.build_logits()
        trained.restore(session)
        values = session.run({variable.op.name: variable for variable in slim.get_model_variables()})
    write_state_dict(path, to_state_dict(model, values, trained.temperature or 1.0), config)
    text = json.dumps(config, indent=2, ensure_ascii=False)
    path.with_name(torch_config.FILE).write_text(text + "\n", encoding="utf-8")
