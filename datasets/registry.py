"""The data sets that the converter has names for."""

from __future__ import annotations

from collections.abc import Mapping

from datasets import cifar10, digits, fer, flowers, image_folder, mnist
from datasets.sources import KnownDataset

KNOWN: Mapping[str, KnownDataset] = {
    module.DATASET.name: module.DATASET for module in (fer, flowers, cifar10, mnist, digits, image_folder)
}
