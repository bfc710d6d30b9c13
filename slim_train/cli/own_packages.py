"""Are the packages ``datasets`` and ``deployment`` slim-train's own? No TensorFlow here.

Hugging Face's distribution ``datasets`` has a package of the same name. Ahead of ours on the Python path it is imported
in place of ours; installed into the same folder, the two overwrite each other's files. What users would see either way
is an ImportError from somewhere deep, so the commands look first.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from slim_train.errors import UsageError

_OWN = ("datasets", "deployment")
_HOME = Path(__file__).resolve().parents[2]


def check_own_packages() -> None:
    """Check, without importing them, that slim-train's neighbour packages are the ones that Python would import.

    Raises:
      UsageError: another project's package is imported in the place of one, or was installed over it; the message
        names its folder and says what to do.
    """
    for name in _OWN:
        _check(name, _HOME / name / "__init__.py")


def _check(name: str, own: Path) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UsageError(f"slim-train's package {name!r} is missing from {_HOME}: install slim-train again.")
    found, other = Path(spec.origin).resolve(), _file_of_distribution(name)
    if found == own and other != own:
        return
    path = found.parent.parent
    if other == found:
        cure = f"run 'pip uninstall {name}' and install slim-train again"
    else:
        cure = f"take {path} off the Python path (PYTHONPATH)"
    raise UsageError(
        f"The Python package {name!r} in {path} is another project's, not slim-train's, and the two cannot share "
        f"one environment. Install slim-train in a virtual environment of its own, or {cure}."
    )


def _file_of_distribution(name: str) -> Path | None:
    """Where the distribution called ``name``, if one is installed, has the package of that name."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(distribution.locate_file(f"{name}/__init__.py"))).resolve()
