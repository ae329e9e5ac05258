import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from litzoo.datamodules.io.image_layouts import ClassFolders


def touch(*names, classes=("cat", "dog")):
    """Makes `<name>/<class>/0.png`, empty files, for each class."""
    for name in names:
        for each in classes:
            path = Path("pets", name, each, "0.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def found(layout, part):
    paths, labels = layout.files(part)
    return [(path.relative_to("pets").as_posix(), label) for path, label in zip(paths, labels.tolist(), strict=True)]


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING", "training"])
@pytest.mark.parametrize("val", [None, "val", "Valid", "validation"])
@pytest.mark.parametrize("test", [None, "Test", "testing"])
def test_parts_are_recognised_by_the_usual_names_in_any_case(train, val, test):
    names = {"train": train, "val": val, "test": test}
    names = {part: name for part, name in names.items() if name}
    touch(*names.values())
    layout = ClassFolders(Path("pets"))
    assert layout.parts == tuple(names)
    assert layout.class_names == ("cat", "dog")
    for part, name in names.items():
        assert found(layout, part) == [(f"{name}/cat/0.png", 0), (f"{name}/dog/0.png", 1)]
    assert layout.left_out == {}


def test_class_folders_alone_are_training_images():
    touch(".")
    layout = ClassFolders(Path("pets"))
    assert layout.parts == ("train",)
    assert found(layout, "train") == [("cat/0.png", 0), ("dog/0.png", 1)]


def test_a_class_may_be_called_like_a_part():
    touch(".", classes=("train", "plane", "test"))  # vehicles, and a class of test pictures
    layout = ClassFolders(Path("pets"))
    assert (layout.class_names, layout.parts) == (("plane", "test", "train"), ("train",))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_unicode_forms_of_a_class_name_are_one_class(form):
    name = unicodedata.normalize(form, "Löwe")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "Löwe")
    touch("train", classes=(name, "cat"))
    touch("test", classes=(other, "cat"))
    layout = ClassFolders(Path("pets"))
    assert layout.class_names == (unicodedata.normalize("NFC", "Löwe"), "cat")
    assert [label for _, label in found(layout, "test")] == [0, 1]


def test_both_unicode_forms_in_one_part_are_one_class():
    touch(".", classes=(unicodedata.normalize("NFC", "Löwe"), unicodedata.normalize("NFD", "Löwe"), "cat"))
    layout = ClassFolders(Path("pets"))
    assert len(layout.class_names) == 2
    assert [label for _, label in found(layout, "train")] == [0, 0, 1]


def test_what_no_part_has_is_named():
    touch("train", "test", "old", ".hidden")
    for name in ("loose.png", "train/loose.jpg", "readme.txt", "train/.x.png"):
        Path("pets", name).touch()
    Image.new("L", (2, 2)).save("pets/camera.jfif", "JPEG")
    left_out = ["camera.jfif", "loose.png", "old/", "train/loose.jpg"]
    assert ClassFolders(Path("pets")).left_out == {"not in a class folder": left_out}


@pytest.mark.parametrize(
    ("folders", "classes", "words"),
    [
        (["Train", "training"], ["cat", "dog"], "several folders for train: Train, training; merge"),
        (["test"], ["cat", "dog"], "a folder test, but no folder train"),
        (["val", "Test"], ["cat", "dog"], "but no folder train"),
        (["train", "test"], ["cat"], r"pets/train: 1 class folders \(cat\); it needs at least 2"),
    ],
)
def test_an_unclear_layout_is_refused(folders, classes, words):
    touch(*folders, classes=classes)
    with pytest.raises(ValueError, match=words):
        ClassFolders(Path("pets"))


def test_parts_without_class_folders_are_refused_and_not_taken_for_classes():
    for part in ("Train", "Test"):
        Path("pets", part).mkdir(parents=True)
        Path("pets", part, "0.png").touch()
    with pytest.raises(ValueError, match=r"pets/Train: 0 class folders.*data\.labels_file"):
        ClassFolders(Path("pets"))


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_that_training_lacks_is_refused(part):
    touch("train", part)
    touch(part, classes=["emu"])
    with pytest.raises(ValueError, match=rf"pets/{part} has class folders .* does not have: emu; .*data\.unknowns"):
        ClassFolders(Path("pets")).files(part)
