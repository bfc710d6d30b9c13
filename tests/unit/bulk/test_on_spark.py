from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import slim_train
from datasets.errors import DataError
from slim_train.bulk.on_spark import tasks, with_our_packages

for package in ("pyspark", "pyarrow"):
    pytest.importorskip(package, reason=f"{package} is not installed (extra [spark])")


def test_a_worker_with_another_version_of_ours_says_where_it_lies() -> None:
    with pytest.raises(RuntimeError, match=r"runs another version of slim-train, that of .*slim_train/__init__.py"):
        list(tasks("job", "slim_train_0.zip")(iter([])))


def test_a_worker_that_lacks_a_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slim_train.bulk.worker", None)
    with pytest.raises(RuntimeError, match=r"lacks a package \(.*slim_train.bulk.worker.*\): install"):
        list(tasks("job", Path(slim_train.__file__).name)(iter([])))


def test_a_worker_takes_our_packages_from_the_archive_though_others_are_first_on_the_path(tmp_path: Path) -> None:
    from pyspark import cloudpickle

    sources = {
        "slim_train/__init__.py": "",
        "datasets/__init__.py": "",
        "datasets/errors.py": "class DataError: text = {!r}",
    }
    with zipfile.ZipFile(tmp_path / "slim_train_0.zip", "w") as archive:
        for file, text in sources.items():
            archive.writestr(file, text.format("of the archive"))
            (tmp_path / "checkout" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "checkout" / file).write_text(text.format("of the checkout"))
    (tmp_path / "task").write_bytes(cloudpickle.dumps(with_our_packages(_text_of(DataError), "slim_train_0.zip")))
    worker = (
        "import pickle, sys\n"
        f"sys.path[:1] = [{str(tmp_path / 'checkout')!r}, {str(tmp_path / 'slim_train_0.zip')!r}]\n"
        f"print(*pickle.load(open({str(tmp_path / 'task')!r}, 'rb'))([]))\n"
    )
    said = subprocess.run([sys.executable, "-c", worker], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.stdout == "of the archive\n", said.stderr


def _text_of(kind: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A task that refers to a class of ours, as conversions refer to their functions."""

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        yield kind.text

    return run
