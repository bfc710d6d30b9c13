from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from datasets.convert import convert_dataset
from datasets.images import ImageRejected
from slim_train.bulk.image_rows import ImageRow
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import ListedImages
from slim_train.errors import UsageError
from slim_train.retraining.split import hashed_part, split_images


def test_class_folders_give_path_label_class_and_the_split_of_retrain(image_dir: Path) -> None:
    images = list_images(ListedImages(image_dir=str(image_dir)))
    assert len(images.rows) == 11
    assert images.classes == ("cat", "dog")
    assert images.rows[0][:3] == ("cat/0.jpg", 0, "cat")
    assert images.opener().read("cat/0.jpg") == (image_dir / "cat" / "0.jpg").read_bytes()


def test_the_hash_is_that_of_retrain() -> None:
    names = [f"cat/{number}.jpg" for number in range(500)]
    split = split_images(["cat"], [names], 10, 20)
    assert {part: set(by_class[0]) for part, by_class in split.parts.items()} == {
        part: {name for name in names if hashed_part(name, 10, 20) == part} for part in split.parts
    }


def test_folders_that_are_splits_keep_their_names(image_dir: Path) -> None:
    shutil.copytree(image_dir, image_dir.parent / "split" / "train")
    shutil.copytree(image_dir, image_dir.parent / "split" / "test")
    images = list_images(ListedImages(image_dir=str(image_dir.parent / "split")))
    assert {row.split for row in images.rows} == {"train", "test"}
    assert not images.hashed


def test_a_text_file_lists_one_path_per_line_relative_to_it(image_dir: Path) -> None:
    (image_dir / "list.txt").write_text("cat/0.jpg\n\ndog/1.jpg\n")
    images = list_images(ListedImages(image_list=str(image_dir / "list.txt")))
    assert images.rows == [ImageRow("cat/0.jpg"), ImageRow("dog/1.jpg")]
    assert images.opener().read("dog/1.jpg") == (image_dir / "dog" / "1.jpg").read_bytes()


def test_a_csv_file_may_name_class_and_split(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("split,path,class\ntraining,b.jpg,dog\n,a.jpg,cat\n")
    images = list_images(ListedImages(image_list=str(tmp_path / "list.csv")))
    assert images.rows == [ImageRow("b.jpg", 1, "dog", "training"), ImageRow("a.jpg", 0, "cat", None)]
    assert images.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("file,class\na.jpg,cat\n", "has no column path, .*; its columns: file, class."),
        ("path,label\na.jpg,cat\n", "label 'cat' of a.jpg is not a number."),
        ("path\na.jpg\na.jpg\n", "names a.jpg twice"),
        ("path,label,class\na.jpg,0,cat\nb.jpg,0,dog\n", "label 0 is both 'cat' and 'dog'."),
        ("path\n", "names no image"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(UsageError, match=complaint):
        list_images(ListedImages(image_list=str(tmp_path / "list.csv")))


def test_records_give_their_images_labels_and_splits(image_dir: Path, tmp_path: Path) -> None:
    (image_dir / "dog" / "broken.jpg").unlink()
    convert_dataset("image_folder", tmp_path / "data", image_dir)
    images = list_images(ListedImages(dataset_dir=str(tmp_path / "data")))
    assert len(images.rows) == 10
    assert {row.split for row in images.rows} == {"train", "test"}
    found = images.opener().read_all([row.path for row in images.rows])
    stored = {hashlib.sha1(found[row.path]).hexdigest(): row.class_name for row in images.rows}
    assert stored == {
        hashlib.sha1(path.read_bytes()).hexdigest(): path.parent.name for path in image_dir.rglob("*.jpg")
    }


def test_a_file_that_is_gone_is_rejected(image_dir: Path) -> None:
    opener = list_images(ListedImages(image_dir=str(image_dir))).opener()
    with pytest.raises(ImageRejected, match="cannot be read"):
        opener.read("cat/gone.jpg")
