from pathlib import Path

import pytest

from litzoo.datamodules.io.class_folders import class_folders_in, images_in
from litzoo.datamodules.io.image_layouts import ClassFolders
from litzoo.datamodules.io.label_files import LabelFile


def touch(*names):
    for name in names:
        path = Path("data", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder="data"):
    return [path.relative_to(folder).as_posix() for path in images_in(Path(folder))]


def test_classes_are_the_visible_folders_in_the_order_of_their_names():
    touch("zebra/a.png", "Äpfel und Birnen/a.png", "10/a.png", "9/a.png", ".git/a.png", "readme.txt", "loose.png")
    touch("__MACOSX/9/._a.png", "@eaDir/a.png")
    assert tuple(class_folders_in(Path("data"))) == ("10", "9", "zebra", "Äpfel und Birnen")


def test_a_class_may_be_a_link_to_a_folder():
    touch("cat/a.png", "elsewhere/b.png")
    Path("data/dog").symlink_to(Path("data/elsewhere").absolute())
    assert tuple(class_folders_in(Path("data"))) == ("cat", "dog", "elsewhere")
    assert found("data/dog") == ["b.png"]


@pytest.mark.parametrize(("names", "words"), [([], r"0 class folders"), (["cat/a.png"], r"1 class folders \(cat\)")])
def test_less_than_two_classes_are_refused(names, words):
    Path("data").mkdir()
    touch(*names)
    with pytest.raises(ValueError, match=f"data: {words}.*at least 2"):
        class_folders_in(Path("data"))


@pytest.mark.parametrize("name", ["none", "file"])
def test_what_is_no_folder_is_refused(name):
    Path("file").touch()
    with pytest.raises(FileNotFoundError, match=r"file is not a folder \(it is a file: unpack an archive first\)"):
        class_folders_in(Path("file"))
    with pytest.raises(FileNotFoundError, match=rf"{name} is not a folder.*data\.folder.*data\.root.*LITZOO_DATA_DIR"):
        class_folders_in(Path(name))


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "JPG"])
def test_all_usual_formats_are_listed(suffix):
    touch(f"a.{suffix}")
    assert found() == [f"a.{suffix}"]


def test_images_are_listed_sorted_with_those_of_folders_within():
    touch("b.png", "a name with spaces.png", "Übung.png", "deep/er/c.jpg", "a.png")
    assert found() == ["a name with spaces.png", "a.png", "b.png", "deep/er/c.jpg", "Übung.png"]


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "Thumbs.db",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "noext",
        ".a.png",
        "._a.jpg",
        "a.png.part",
        ".ipynb_checkpoints/a.png",
        ".cache/x/a.png",
    ],
)
def test_foreign_and_hidden_files_are_passed_over(name):
    touch("a.jpg", name)
    assert found() == ["a.jpg"]


def test_hidden_folders_above_the_class_do_not_hide_it():
    touch(".cache/pets/cat/a.png")
    assert found("data/.cache/pets/cat") == ["a.png"]


def test_a_folder_named_like_an_image_is_none_but_may_hold_some():
    touch("x.jpg/a.png")
    assert found() == ["x.jpg/a.png"]


def test_a_link_in_a_circle_ends():
    touch("deep/a.png")
    Path("data/deep/again").symlink_to(Path("data").absolute())
    assert found() == ["deep/a.png"]


def test_links_in_circles_of_several_folders_end():
    touch("one/a.png", "other/b.png")
    Path("data/one/next").symlink_to(Path("data/other").absolute())
    Path("data/other/next").symlink_to(Path("data/one").absolute())
    assert found() == ["one/a.png", "other/b.png"]


def test_a_link_to_a_folder_on_another_disk_is_followed_at_any_depth():
    touch("cat/a.png")
    Path("disk/deep/.hidden").mkdir(parents=True)
    for name in ("disk/b.png", "disk/deep/c.png", "disk/deep/.hidden/d.png"):
        Path(name).touch()
    Path("data/cat/more").symlink_to(Path("disk").absolute())
    assert found() == ["cat/a.png", "cat/more/b.png", "cat/more/deep/c.png"]


def test_a_linked_image_counts():
    touch("a.png")
    Path("data/b.png").symlink_to(Path("data/a.png").absolute())
    assert found() == ["a.png", "b.png"]


def test_spellings_of_one_class_are_named():
    touch("Cat/a.png", "cat/a.png", "1/a.png", "1.0/a.png")
    with pytest.warns(UserWarning, match="spellings of one class") as found:
        assert ClassFolders(Path("data")).class_names == ("1", "1.0", "Cat", "cat")
    said = [str(each.message) for each in found]
    assert any("data has the classes 'Cat' and 'cat', which may be spellings of one class" in each for each in said)
    assert any("data has the classes '1' and '1.0'" in each for each in said)
    Path("labels.csv").write_text("file,label\nCat/a.png,cat\ncat/a.png,Cat\n1/a.png,dog\n1.0/a.png,dog\n")
    with pytest.warns(UserWarning, match=r"labels\.csv has the classes 'Cat' and 'cat'"):
        LabelFile(Path("labels.csv"), Path("data"))


def test_a_folder_and_a_link_to_it_are_listed_once():
    touch("2024/a.png", "2024/b.png")
    Path("data/latest").symlink_to(Path("data/2024").absolute())
    Path("data/2024/all").symlink_to(Path("data").absolute())
    assert found() == ["2024/a.png", "2024/b.png"]
