"""Logging given back after each test, and data that is not part of the project: without it tests are skipped."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"
_TAR_OF_FOLDER = {"hub": "hub_module"}


class _TarFolders:
    """``folders / "flowers/roses"``: a path in a folder that is unpacked from its tar on first use."""

    def __init__(self, tars: Path, unpacked: Path) -> None:
        self._tars = tars
        self._unpacked = unpacked

    def __truediv__(self, path: str) -> Path:
        folder = Path(path).parts[0]
        if not (self._unpacked / folder).exists():
            with tarfile.open(self._tars / f"{_TAR_OF_FOLDER.get(folder, folder)}.tar") as tar:
                tar.extractall(self._unpacked, filter="data")
        return self._unpacked / path


def pytest_collection_finish() -> None:
    """Search what imports have made for garbage no more: those half a million objects stay."""
    gc.freeze()
    # A graph is many objects that stay, too; commands set the same.
    gc.set_threshold(10_000, *gc.get_threshold()[1:])


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Real data: ``shared_data / "checkpoints"``, likewise fer2013, flowers, hub and images."""
    if "SLIM_TRAIN_DATA" in os.environ:
        return Path(os.environ["SLIM_TRAIN_DATA"])
    if not (_SHARED / "data").is_dir():
        pytest.skip("no real data: SLIM_TRAIN_DATA is not set and there is no ../shared/data")
    return _TarFolders(_SHARED / "data", tmp_path_factory.mktemp("shared_data"))


@pytest.fixture(scope="session")
def reference_nets() -> dict[str, Any]:
    """What each net must be, measured on the released definitions: names, shapes and numbers by model name."""
    path = Path(os.environ.get("SLIM_TRAIN_REFERENCE", _SHARED / "reference" / "nets.json"))
    if not path.is_file():
        pytest.skip(f"no reference numbers: SLIM_TRAIN_REFERENCE is not set and there is no {path}")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def pod_environment() -> Callable[[dict[str, Any], int], dict[str, str]]:
    """``pod_environment(job, 2)``: what Kubernetes puts into the environment of pod 2 of an indexed Job."""

    def make(job: dict[str, Any], index: int) -> dict[str, str]:
        metadata, container = job["spec"]["template"]["metadata"], job["spec"]["template"]["spec"]["containers"][0]
        annotations = {**metadata["annotations"], "batch.kubernetes.io/job-completion-index": str(index)}
        fields = {"labels": metadata["labels"], "annotations": annotations}
        environment: dict[str, str] = {}
        for variable in container["env"]:
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                found = re.fullmatch(r"metadata\.(\w+)\['(.+)'\]", source["fieldRef"]["fieldPath"])
                value = fields[found[1]][found[2]]
            elif "resourceFieldRef" in source:
                kind, _, resource = source["resourceFieldRef"]["resource"].partition(".")
                value = container["resources"][kind][resource]
            else:
                # Variables that come later in the list are not expanded.
                value = re.sub(r"\$\((\w+)\)", lambda name: environment.get(name[1], name[0]), variable["value"])
            environment[variable["name"]] = value
        return environment

    return make


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands set up logging for a whole process; a test process runs many of them."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``--dist loadscope`` gives out tests one by one, but for those that share the graphs of a net, or a store."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class OneNetOneWorker(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if file.endswith(("storage/test_gcs.py", "storage/test_s3.py")):
                return file
            return f"{file}[{test.partition('[')[2]}" if file.endswith("nets/test_zoo.py") else nodeid

    return OneNetOneWorker(config, log)
