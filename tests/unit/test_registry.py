"""Names of slim-train, of a program and of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.registry import Registry

GROUP = "slim_train.tests"


@pytest.fixture
def registry() -> Registry[int]:
    return Registry("number", GROUP, {"one": 1, "two": 2})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution that offers ``three`` and ``broken``."""
    metadata = tmp_path / "numbers_of_mine-0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: numbers-of-mine\nVersion: 0.3\n")
    (metadata / "entry_points.txt").write_text(
        f"[{GROUP}]\nthree = numbers_of_mine:THREE\nbroken = numbers_of_mine:MISSING\none = numbers_of_mine:THREE\n"
    )
    (tmp_path / "numbers_of_mine.py").write_text("THREE = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_own_names_mean_what_slim_train_made(registry: Registry[int]) -> None:
    assert registry.get("two") == 2
    assert registry.origin("two") == "slim-train"


def test_a_registered_name_is_listed_with_its_origin(registry: Registry[int]) -> None:
    registry.register("four", 4, "my_file.py")
    assert registry.get("four") == 4
    assert registry.names() == ("four", "one", "two")
    assert registry.origin("four") == "my_file.py"


def test_a_second_registration_replaces_the_first(registry: Registry[int]) -> None:
    registry.register("four", 4, "my_file.py")
    registry.register("four", 44, "my_file.py")
    assert registry.get("four") == 44


def test_a_name_of_slim_train_cannot_be_taken(registry: Registry[int]) -> None:
    with pytest.raises(UsageError, match="'one' exists in slim-train"):
        registry.register("one", 11, "my_file.py")


def test_an_object_of_another_kind_is_refused() -> None:
    def check(name: str, value: object) -> None:
        if not isinstance(value, int):
            raise UsageError(f"{name} must be a number.")

    with pytest.raises(UsageError, match="four must be a number"):
        Registry("number", GROUP, {}, check).register("four", "4", "my_file.py")


def test_a_package_offers_names_by_entry_points(registry: Registry[int], package: Path) -> None:
    assert registry.names() == ("broken", "one", "three", "two")
    assert registry.origin("three") == "numbers-of-mine 0.3"
    assert registry.get("three") == 3


def test_a_package_cannot_take_a_name_of_slim_train(registry: Registry[int], package: Path) -> None:
    assert registry.get("one") == 1


def test_a_package_that_does_not_work_is_named(registry: Registry[int], package: Path) -> None:
    with pytest.raises(UsageError, match=r"'broken' of numbers-of-mine 0\.3 cannot be imported: AttributeError"):
        registry.get("broken")


def test_a_name_that_two_packages_offer_is_refused(registry: Registry[int], package: Path) -> None:
    other = package / "numbers_of_yours-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numbers-of-yours\nVersion: 0.1\n")
    (other / "entry_points.txt").write_text(f"[{GROUP}]\nthree = numbers_of_yours:THREE\n")
    with pytest.raises(UsageError, match=r"'three', as numbers_of_mine:THREE and numbers_of_yours:THREE: uninstall"):
        registry.get("three")


def test_an_unknown_name_lists_all_with_the_origin_of_others(registry: Registry[int], package: Path) -> None:
    with pytest.raises(UsageError) as error:
        registry.get("tree")
    assert "Did you mean three?" in str(error.value)
    assert "three (numbers-of-mine 0.3)" in str(error.value)


def test_names_are_known_before_their_package_is_imported(registry: Registry[int], package: Path) -> None:
    assert "one" in registry and "broken" in registry and "tree" not in registry


def test_a_package_that_registers_itself_when_imported_is_still_its_origin(
    registry: Registry[int], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "numbers_of_mine.py").write_text("THREE = 3\nregister('three', 3, 'numbers_of_mine.py')\n")
    monkeypatch.setattr("builtins.register", registry.register, raising=False)
    monkeypatch.delitem(sys.modules, "numbers_of_mine", raising=False)
    assert registry.get("three") == 3
    assert registry.origin("three") == "numbers-of-mine 0.3"


def test_a_failure_of_registered_code_names_it_and_the_line() -> None:
    def divide() -> float:
        return 1 / 0

    registry: Registry[Callable[[], float]] = Registry("function", GROUP, {})
    registry.register("divide", divide, "my_file.py")
    with (
        pytest.raises(UsageError, match=r"'divide' \(my_file.py\) failed. .*test_registry.py, line \d+: ZeroDiv"),
        registry.calling("divide"),
    ):
        divide()


def test_a_failure_of_slim_trains_own_stays_as_it_is(registry: Registry[int]) -> None:
    with pytest.raises(ZeroDivisionError), registry.calling("one"):
        raise ZeroDivisionError
