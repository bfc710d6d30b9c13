from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from datasets.convert import convert_dataset
from datasets.images import ImageRejected
from datasets.storage import copy_folder, path_of
from slim_train.bulk.image_rows import ImageRow, ImageSet
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import ListedImages
from slim_train.errors import UsageError
from slim_train.retraining.split import hashed_part, split_images


def test_class_folders_give_path_label_class_and_the_split_of_retrain(image_dir: Path) -> None:
    images = list_images(ListedImages(image_dir=str(image_dir)))
    assert len(images.rows) == 11
    assert images.classes == ("cat", "dog")
    assert images.rows[0][:3] == ("cat/0.jpg", 0, "cat")
    assert content(images, "cat/0.jpg") == (image_dir / "cat" / "0.jpg").read_bytes()


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
    assert content(images, "dog/1.jpg") == (image_dir / "dog" / "1.jpg").read_bytes()


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
    assert digests(images) == {
        hashlib.sha1(path.read_bytes()).hexdigest(): path.parent.name for path in image_dir.rglob("*.jpg")
    }


def test_a_file_that_is_gone_is_rejected(image_dir: Path) -> None:
    images = list_images(ListedImages(image_dir=str(image_dir)))
    with pytest.raises(ImageRejected, match="cannot be read"):
        content(images, "cat/gone.jpg")


def test_class_folders_at_a_url_are_listed_and_read_there(image_dir: Path) -> None:
    url = path_of("memory://listing/folders")
    copy_folder(image_dir, url)
    images, here = list_images(ListedImages(image_dir=str(url))), list_images(ListedImages(image_dir=str(image_dir)))
    assert images.rows == here.rows
    assert digests(images) == digests(here)


def test_a_list_at_a_url_names_files_beside_it_and_elsewhere(image_dir: Path) -> None:
    url = path_of("memory://listing/list")
    copy_folder(image_dir / "cat", url / "cat")
    copy_folder(image_dir / "dog", path_of("ram://listing/dog"))
    paths = ["cat/0.jpg", "ram://listing/dog/0.jpg", str(image_dir / "dog" / "1.jpg"), "cat/none.jpg"]
    (url / "list.txt").write_text("\n".join(paths))
    images = list_images(ListedImages(image_list=str(url / "list.txt")))
    assert [row.path for row in images.rows] == paths
    for path, file in zip(paths, ("cat/0.jpg", "dog/0.jpg", "dog/1.jpg"), strict=False):
        assert content(images, path) == (image_dir / file).read_bytes()
    with pytest.raises(ImageRejected, match="cannot be read"):
        content(images, "cat/none.jpg")


def test_records_at_a_url_are_read_there(image_dir: Path, tmp_path: Path) -> None:
    convert_dataset("image_folder", tmp_path / "data", image_dir)
    url = path_of("memory://listing/records")
    copy_folder(tmp_path / "data", url)
    images = list_images(ListedImages(dataset_dir=str(url)))
    assert images.rows == list_images(ListedImages(dataset_dir=str(tmp_path / "data"))).rows
    assert len(digests(images)) == 10


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("nowhere://bucket/a.jpg", "nothing here serves nowhere://"), ("gs://me:secret@b/a", "user")],
)
def test_a_list_names_no_url_that_cannot_be_reached(path: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(path)
    with pytest.raises(UsageError, match=complaint) as error:
        list_images(ListedImages(image_list=str(tmp_path / "list.txt")))
    assert "secret" not in str(error.value)


def test_images_at_urls_are_refused_on_spark(image_dir: Path) -> None:
    url = path_of("memory://listing/spark")
    copy_folder(image_dir, url)
    with pytest.raises(UsageError, match=r"Spark requires images .* memory://listing/spark/cat/0.jpg is a URL"):
        list_images(ListedImages(image_dir=str(url)), on_spark=True)


def content(images: ImageSet, path: str) -> bytes:
    with images.opener().opened([path]) as read:
        return read(path)


def digests(images: ImageSet) -> dict[str, str | None]:
    """Return the class of each image by the digest of its file."""
    with images.opener().opened([row.path for row in images.rows]) as read:
        return {hashlib.sha1(read(row.path)).hexdigest(): row.class_name for row in images.rows}
