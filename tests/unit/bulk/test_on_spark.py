from __future__ import annotations

import sys
from pathlib import Path

import pytest

import slim_train
from slim_train.bulk.on_spark import tasks

for package in ("pyspark", "pyarrow"):
    pytest.importorskip(package, reason=f"{package} is not installed (extra [spark])")


def test_a_worker_with_another_version_of_ours_says_where_it_lies() -> None:
    with pytest.raises(RuntimeError, match=r"runs another version of slim-train, that of .*slim_train/__init__.py"):
        list(tasks("job", "slim_train_0.zip")(iter([])))


def test_a_worker_that_lacks_a_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slim_train.bulk.worker", None)
    with pytest.raises(RuntimeError, match=r"lacks a package \(.*slim_train.bulk.worker.*\): install"):
        list(tasks("job", Path(slim_train.__file__).name)(iter([])))
