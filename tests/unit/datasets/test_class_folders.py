from __future__ import annotations

import io
import logging
import os
import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.images import ImageRejected


def test_labels_follow_the_sorted_class_names(class_folders: Callable[..., Path]) -> None:
    source = scan(class_folders({"dog": 2, "Zebra": 1, "cat": 1}))
    assert source.classes == ("Zebra", "cat", "dog")
    assert source.splits == {"train": [["Zebra/0.jpg"], ["cat/0.jpg"], ["dog/0.jpg", "dog/1.jpg"]]}
    assert not source.is_split


def test_given_splits_are_kept_under_their_usual_names(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"train/cat": 2, "train/dog": 1, "val/cat": 1, "Testing/dog": 1})
    source = scan(root)
    assert source.is_split
    assert source.classes == ("cat", "dog")
    assert source.splits == {
        "train": [["train/cat/0.jpg", "train/cat/1.jpg"], ["train/dog/0.jpg"]],
        "validation": [["val/cat/0.jpg"], []],
        "test": [[], ["Testing/dog/0.jpg"]],
    }


def test_a_class_may_be_called_train(class_folders: Callable[..., Path]) -> None:
    source = scan(class_folders({"train": 1, "bus": 1}))
    assert (source.classes, source.is_split) == (("bus", "train"), False)


def test_folders_called_train_and_test_that_hold_images_are_classes(class_folders: Callable[..., Path]) -> None:
    source = scan(class_folders({"train": 1, "test": 1}))
    assert (source.classes, source.is_split) == (("test", "train"), False)


def test_hidden_files_and_thumbs_db_are_passed_over_with_a_word(
    class_folders: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = class_folders({"cat": 1, ".cache": 1, "__MACOSX": 1})
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "cat" / name).write_bytes(b"x")
    with caplog.at_level(logging.INFO):
        source = scan(root)
    assert source.splits == {"train": [["cat/0.jpg"]]}
    assert "hidden files, Thumbs.db and the like (5)" in caplog.text


def test_empty_class_folders_and_stray_files_are_passed_over_with_a_word(
    class_folders: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = class_folders({"cat": 1, "ghost": 0})
    (root / "LICENSE.txt").write_text("free")
    with caplog.at_level(logging.INFO):
        assert scan(root).classes == ("cat",)
    assert "empty class folder 'ghost'" in caplog.text
    assert "files outside the class folders (1)" in caplog.text


def test_any_other_file_is_left_to_the_decoder_to_judge(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1})
    (root / "cat" / "notes.txt").write_text("no image")
    source = scan(root)
    assert source.splits["train"] == [["cat/0.jpg", "cat/notes.txt"]]
    with pytest.raises(ImageRejected, match="not an image"):
        source.reader.load("cat/notes.txt")


def test_folders_inside_a_class_folder_belong_to_the_class(class_folders: Callable[..., Path]) -> None:
    assert scan(class_folders({"cat/indoors": 1, "cat/outdoors/garden": 1})).splits["train"] == [
        ["cat/indoors/0.jpg", "cat/outdoors/garden/0.jpg"]
    ]


def test_links_that_lead_in_a_circle_are_followed_once(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1, "dog": 1})
    (root / "cat" / "itself").symlink_to("itself")
    (root / "cat" / "here").symlink_to(".")
    (root / "cat" / "up").symlink_to("..")
    (root / "round").symlink_to("round")
    source = scan(root)
    assert source.splits["train"] == [["cat/0.jpg", "cat/itself"], ["dog/0.jpg"]]


def test_a_class_folder_may_be_a_link(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    root = class_folders({"cat": 2})
    elsewhere = tmp_path / "elsewhere"
    (root / "cat").rename(elsewhere)
    (root / "cat").symlink_to(elsewhere)
    source = scan(root)
    assert source.splits["train"] == [["cat/0.jpg", "cat/1.jpg"]]
    assert source.reader.load("cat/1.jpg").width == 12


def test_a_broken_link_is_an_image_that_cannot_be_read(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1})
    (root / "cat" / "1.jpg").symlink_to("gone.jpg")
    reader = scan(root).reader
    with pytest.raises(ImageRejected, match=r"cannot be read \(No such file or directory\)"):
        reader.load("cat/1.jpg")
    assert reader.stamp("cat/1.jpg") == ("missing", 0)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_an_image_that_cannot_be_read(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1})
    (root / "cat" / "0.jpg").chmod(0)
    with pytest.raises(ImageRejected, match=r"cannot be read \(Permission denied\)"):
        scan(root).reader.load("cat/0.jpg")


def test_a_named_pipe_is_not_waited_for(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1})
    os.mkfifo(root / "cat" / "pipe.jpg")
    assert scan(root).splits["train"] == [["cat/0.jpg"]]


def test_the_output_folder_inside_the_pictures_is_no_class(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1, "out": 1, "train": 0})
    assert scan(root, exclude=root / "out").classes == ("cat",)


def test_names_in_any_script_are_sorted_and_shown_in_one_unicode_form(class_folders: Callable[..., Path]) -> None:
    decomposed = unicodedata.normalize("NFD", "été")
    source = scan(class_folders({"собака": 1, decomposed: 1, "猫": 1}))
    assert source.classes == ("été", "собака", "猫")
    assert source.splits["train"][0] == [f"{decomposed}/0.jpg"]  # the file is found by the name it has
    assert source.reader.load(f"{decomposed}/0.jpg").height == 8


def test_a_file_name_that_is_not_valid_unicode_is_read_all_the_same(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1})
    (root / "cat" / "0.jpg").rename(os.fsdecode(os.fsencode(root) + b"/cat/\xff.jpg"))
    source = scan(root)
    assert source.reader.load(source.splits["train"][0][0]).width == 12


def test_a_class_folder_with_a_line_break_in_its_name_is_refused(class_folders: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="control character"):
        scan(class_folders({"cat\ndog": 1}))


def test_a_class_folder_whose_name_is_not_valid_unicode_is_refused(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 1})
    (root / "cat").rename(os.fsdecode(os.fsencode(root) + b"/\xff"))
    with pytest.raises(DataError, match="not valid UTF-8"):
        scan(root)


def test_a_missing_folder_is_named_and_the_layout_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--pic_path=.*gone does not exist\. Expected one folder of images per class"):
        scan(tmp_path / "gone")


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is not a folder"):
        scan(tmp_path / "file")


@pytest.mark.parametrize("counts", [{}, {"cat": 0}, {"train/cat": 0}])
def test_a_folder_without_images_is_refused(
    class_folders: Callable[..., Path], tmp_path: Path, counts: dict[str, int]
) -> None:
    (tmp_path / "pictures").mkdir(exist_ok=True)
    with pytest.raises(DataError, match="no class folder with an image"):
        scan(class_folders(counts))


def test_images_beside_no_class_folder_are_refused(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected one folder of images per class"):
        scan(class_folders({"pictures": 3}) / "pictures")


def test_the_reader_can_be_sent_to_another_process(class_folders: Callable[..., Path]) -> None:
    reader = scan(class_folders({"cat": 1})).reader
    assert pickle.loads(pickle.dumps(reader)).load("cat/0.jpg") == reader.load("cat/0.jpg")


def test_a_folder_of_other_files_is_no_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "PNG")
    for name in ("cat/1.png", "dog/without_suffix"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(buffer.getvalue())
    (tmp_path / "bottlenecks").mkdir()
    (tmp_path / "bottlenecks" / "1.txt").write_text("0.1,0.2")
    assert scan(tmp_path).classes == ("cat", "dog")
    assert "bottlenecks: none of its 1 files is an image" in caplog.text


def test_a_folder_of_broken_images_stays_a_class(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"broken")
    assert scan(tmp_path).classes == ("cat", "dog")
