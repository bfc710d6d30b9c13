from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets.errors import DataError
from datasets.images import ImageRejected
from datasets.storage import copy_file, path_of
from slim_train.bulk.image_tables import image_column, partition_values, read_images, table_files
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import ListedImages
from slim_train.errors import UsageError

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra [parquet])")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, table: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def listed(path: Path) -> Any:
    return list_images(ListedImages(image_list=str(path)))


def test_a_table_of_binary_files_gives_its_images(image_dir: Path, tmp_path: Path) -> None:
    files = sorted(image_dir.rglob("*.jpg"))
    for number, some in enumerate((files[:4], files[4:])):
        columns = {"path": [f"file:{file}" for file in some], "content": [file.read_bytes() for file in some]}
        write(tmp_path / "table" / f"part-{number}.parquet", pyarrow.table(columns), row_group_size=3)
    (tmp_path / "table" / "_SUCCESS").touch()
    images = listed(tmp_path / "table")
    assert [row.path for row in images.rows[:5]] == [*(f"part-0.parquet@{n}" for n in range(4)), "part-1.parquet@0"]
    with images.opener().opened([row.path for row in images.rows]) as read:
        assert [read(row.path) for row in images.rows] == [file.read_bytes() for file in files]


def test_a_table_of_hugging_face_gives_images_and_names_of_classes(tmp_path: Path) -> None:
    info = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pyarrow.table({"image": [{"bytes": b"a", "path": None}, {"bytes": None, "path": "x"}], "label": [1, 0]})
    file = write(tmp_path / "train.parquet", table.replace_schema_metadata({"huggingface": json.dumps(info)}))
    images = listed(file)
    assert [row[:3] for row in images.rows] == [("train.parquet@0", 1, "dog"), ("train.parquet@1", 0, "cat")]
    assert images.classes == ("cat", "dog")
    with images.opener().opened(["train.parquet@0", "train.parquet@1"]) as read:
        assert read("train.parquet@0") == b"a"
        with pytest.raises(ImageRejected, match="holds no image"):
            read("train.parquet@1")


@pytest.mark.parametrize("content", [None, b"PAR1"])
def test_a_table_that_can_no_longer_be_read_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", pyarrow.table({"content": [b"0"]}))
    opener = listed(file).opener()
    file.unlink()
    if content:
        file.write_bytes(content)
    with (
        pytest.raises(DataError, match=r"Cannot read the table file .*a\.parquet: "),
        opener.opened(["a.parquet@0"]),
    ):
        pass


def test_only_row_groups_with_wanted_rows_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", pyarrow.table({"content": [b"0", b"1", b"2", b"3"]}), row_group_size=2)
    assert image_column(pq.read_schema(file)) == "content"
    assert read_images(str(file), "content", {3, 1}) == {1: b"1", 3: b"3"}


def test_a_column_image_of_names_is_no_image(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", pyarrow.table({"image": ["a.jpg"], "class": ["cat"]}))
    with pytest.raises(UsageError, match="has no column path, .*; its columns: image, class"):
        listed(file)


def test_a_table_of_paths_may_have_several_files(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "t" / f"{number}.parquet", pyarrow.table({"path": [f"{number}.jpg"], "class": ["cat"]}))
    assert [row.path for row in listed(tmp_path / "t").rows] == ["0.jpg", "1.jpg"]
    assert listed(tmp_path / "t").root == str(tmp_path / "t")


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    for name, complaint in (("bad.parquet", "not a Parquet"), ("empty", "without Parquet"), ("x.parquet", "not exist")):
        with pytest.raises(UsageError, match=complaint):
            listed(tmp_path / name)


def test_a_delta_table_has_the_files_of_its_newest_version(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")
    for content in (b"old", b"new"):
        deltalake.write_deltalake(tmp_path / "t", pyarrow.table({"content": [content]}), mode="overwrite")
    (file,) = table_files(tmp_path / "t")
    assert read_images(str(file), "content", {0}) == {0: b"new"}
    assert [row.path for row in listed(tmp_path / "t").rows] == [f"{file.name}@0"]


def test_without_deltalake_a_delta_table_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(UsageError, match=r"is a Delta table .*: pip install .*\[delta\]"):
        table_files(tmp_path)


def test_folders_of_a_partitioned_table_give_columns(tmp_path: Path) -> None:
    for split, label in (("train", 0), ("train", 1), ("test", 0)):
        file = tmp_path / "t" / f"split={split}" / f"label={label}" / "part-0.parquet"
        write(file, pyarrow.table({"content": [b"image"]}))
    found = {row.path: (row.split, row.label) for row in listed(tmp_path / "t").rows if row.label == 0}
    assert sorted(found.values()) == [("test", 0), ("train", 0)]
    assert listed(tmp_path / "t").rows[0].path == "split=test/label=0/part-0.parquet@0"


def test_columns_of_a_file_go_before_those_of_its_folders(tmp_path: Path) -> None:
    write(tmp_path / "t" / "split=train" / "a.parquet", pyarrow.table({"path": ["a.jpg"], "split": ["test"]}))
    write(tmp_path / "t" / "split=train" / "b.parquet", pyarrow.table({"path": ["b.jpg"], "split": ["test"]}))
    assert [row.split for row in listed(tmp_path / "t").rows] == ["test", "test"]


def test_partition_values_are_decoded_and_null_is_none() -> None:
    columns = ("label", "class", "split")
    assert partition_values("class=a%20b/x=1/f.parquet", columns) == {"class": "a b"}
    assert partition_values("split=__HIVE_DEFAULT_PARTITION__/f.parquet", columns) == {}
    assert partition_values("f.parquet", columns) == {}


def test_a_table_at_a_url_is_read_there(tmp_path: Path) -> None:
    url = path_of("memory://tables/url")
    for number in range(2):
        file = write(tmp_path / f"{number}.parquet", pyarrow.table({"content": [b"%d" % number]}))
        copy_file(file, url / f"{number}.parquet")
    images = list_images(ListedImages(image_list=str(url)))
    assert [row.path for row in images.rows] == ["0.parquet@0", "1.parquet@0"]
    with images.opener().opened([row.path for row in images.rows]) as read:
        assert [read(row.path) for row in images.rows] == [b"0", b"1"]
