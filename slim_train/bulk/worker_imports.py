"""What workers import, for the process that they are forked from, and the net that it loads for the driver of a job."""

from __future__ import annotations

import slim_train.bulk.kinds
import slim_train.bulk.worker  # noqa: F401
from slim_train import tf_compat
from slim_train.bulk.feature_net import load_feature_net
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.options import FeatureNetOptions
from slim_train.training_options import UserCodeOptions


def load_net(options: FeatureNetOptions, code: UserCodeOptions) -> FeatureNet:
    """Return what :func:`slim_train.bulk.feature_net.load_feature_net` returns."""
    tf_compat.silence_deprecation_noise()
    return load_feature_net(options, code)
