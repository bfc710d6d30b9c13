from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.inference.heat_files import heat_folder, heat_names, write_heat


def test_names_are_those_of_the_images_and_numbered_where_they_repeat() -> None:
    files = [Path("a/cat.png"), Path("b/cat.png"), Path("b/CAT.png"), Path("b/dog.jpg")]
    assert heat_names(files) == ["cat.png_heat.jpg", "cat.png-2_heat.jpg", "CAT.png-3_heat.jpg", "dog.jpg_heat.jpg"]


def test_names_are_short_and_printable(tmp_path: Path) -> None:
    (name,) = heat_names([Path("a\n:" + "ü" * 300 + ".png")])
    assert name.startswith("a__ü")
    assert len(name.encode()) < 180
    assert Path(write_heat(tmp_path, name, b"x")).read_bytes() == b"x"


def test_the_folder_is_made_but_not_its_parents(tmp_path: Path) -> None:
    assert heat_folder(str(tmp_path / "new")).is_dir()
    with pytest.raises(UsageError, match="--explain_dir=.* cannot be made: No such file or directory"):
        heat_folder(str(tmp_path / "gone" / "new"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--explain_dir=.* cannot be made: File exists"):
        heat_folder(str(tmp_path / "file"))
