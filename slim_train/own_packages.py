"""Are the packages ``datasets`` and ``deployment`` slim-train's own? No TensorFlow, and little else, is imported here.

Hugging Face's distribution ``datasets`` has a package of the same name. Ahead of ours on the Python path, it is
imported in place of ours; installed into the same folder, the two overwrite each other's files. Either way users would
see an ImportError from somewhere deep, so ``import slim_train`` and the commands look first.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_OWN = ("datasets", "deployment")
_HOME = Path(__file__).resolve().parents[1]
_COMMANDS = Path(__file__).resolve().parent / "cli"


def conflict() -> str | None:
    """Return what is wrong with the packages beside slim_train, or None. It does not import them.

    Another project's package may be found in the place of ours, or may have been installed over it. The message names
    its folder and says what to do.
    """
    return next(filter(None, (_conflict(name, _HOME / name / "__init__.py") for name in _OWN)), None)


def is_command() -> bool:
    """Return whether this process is one of the commands, or ``python -m``. Commands report a conflict themselves."""
    program = Path((getattr(sys, "argv", None) or [""])[0])
    return program.name == "-m" or (_COMMANDS / f"{program.stem}.py").is_file()


def _conflict(name: str, own: Path) -> str | None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return f"slim-train's package {name!r} is missing from {_HOME}: install slim-train again."
    found = Path(spec.origin).resolve()
    if found.name != "__init__.py":
        return f"The file {found} hides slim-train's package {name!r}: rename it, or move it away."
    path = found.parent.parent
    is_installed = any(path.glob(f"{name}-*.dist-info"))  # a distribution of that name; slim-train has another
    if found == own and not is_installed:
        return None
    if is_installed:
        cure = f"run 'pip uninstall {name}' and install slim-train again"
    else:
        cure = f"take {path} off the Python path (PYTHONPATH)"
    return (
        f"The Python package {name!r} in {path} is another project's, not slim-train's, and the two cannot share "
        f"one environment. Install slim-train in a separate virtual environment, or {cure}."
    )
