import os
from pathlib import Path

import pytest
import torch

from tests.datamodules.image_folder import folder_data, write_pets

LAZY = {"memory_limit": 0}


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "no bytes": lambda path: path.write_bytes(b""),
    "cut off": halve,
    "text": lambda path: path.write_text("404 Not Found"),
    "link to nothing": lambda path: (path.unlink(), path.symlink_to("gone.png")),
}
DAMAGED = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
HOW_READ = pytest.mark.parametrize("options", [{}, LAZY], ids=["memory", "lazy"])


@pytest.fixture
def pets():
    """A folder of cats and dogs, 20 a class to train on and 4 a class to test on."""
    return write_pets()


@HOW_READ
@DAMAGED
@pytest.mark.parametrize(("part", "stage"), [("train", "fit"), ("test", "test")])
def test_a_damaged_file_is_refused_by_name(pets, part, stage, damage, options):
    damage(pets / part / "dog" / "002.png")
    with pytest.raises(ValueError, match=rf"pets/{part}/dog/002\.png cannot be read as an image: \S"):
        folder_data(**options).setup(stage)


@HOW_READ
@DAMAGED
def test_damaged_files_are_left_out_with_a_warning_that_names_them(pets, damage, options):
    damage(pets / "train" / "dog" / "000.png")
    damage(pets / "train" / "dog" / "007.png")
    whole, rest = folder_data(), folder_data(corrupt="skip", **options)
    with pytest.warns(UserWarning, match=r"2 of 40 files are left out: .*dog/000\.png.*dog/007\.png"):
        images, labels = rest.read(train=True)
    assert labels.bincount().tolist() == [20, 18]
    files = [
        path
        for path in whole.folder_files.files(train=True)[0]
        if path.parent.name == "cat" or path.stem not in ("000", "007")
    ]
    assert torch.equal(images.index_select(0, torch.arange(38)), torch.stack([whole.reader(path) for path in files]))


@HOW_READ
def test_a_damaged_test_file_is_left_out_with_a_warning(pets, options):
    DAMAGES["text"](pets / "test" / "cat" / "001.png")
    with pytest.warns(UserWarning, match=r"1 of 8 files are left out: .*test/cat/001\.png"):
        labels = folder_data(corrupt="skip", **options).read(train=False)[1]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_files_left_out_move_neither_split_nor_labels_when_a_checkpoint_is_tested(pets):
    DAMAGES["cut off"](pets / "train" / "cat" / "003.png")
    trained, tested = folder_data(corrupt="skip"), folder_data(corrupt="skip")
    with pytest.warns(UserWarning, match="left out"):
        trained.setup("fit")
    tested.load_state_dict(trained.state_dict())
    with pytest.warns(UserWarning, match="left out"):
        tested.setup("validate")
    assert tested.fingerprint() == trained.fingerprint()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused_by_name(pets):
    (pets / "train" / "cat" / "001.png").chmod(0)
    with pytest.raises(ValueError, match=r"cat/001\.png cannot be read.*[Pp]ermission"):
        folder_data().setup("fit")


def test_a_folder_named_like_an_image_is_no_damaged_image(pets):
    (pets / "train" / "cat" / "x.jpg").mkdir()
    assert len(folder_data().read(train=True)[1]) == 40


def test_a_first_image_without_a_size_is_refused_with_the_remedy(pets):
    DAMAGES["text"](pets / "train" / "cat" / "000.png")
    with pytest.raises(ValueError, match=r"cat/000\.png cannot be read.*data\.size"):
        folder_data(corrupt="skip")


def test_a_class_whose_files_are_all_left_out_is_refused(pets):
    for path in (pets / "train" / "dog").iterdir():
        DAMAGES["text"](path)
    with pytest.warns(UserWarning, match="20 of 40"), pytest.raises(ValueError, match="class 'dog'"):
        folder_data(corrupt="skip").setup("fit")


@pytest.mark.parametrize("test", [0, 4], ids=["test set drawn", "test files"])
def test_damaged_files_of_all_parts_are_named_at_once(test):
    names = ["train/cat/001.png", "train/cat/005.png", "train/dog/007.png", "train/dog/011.png"]
    names += ["test/dog/002.png"] if test else []
    write_pets(test=test)
    for name, damage in zip(names, [*DAMAGES.values(), DAMAGES["text"]], strict=False):
        damage(Path("pets", name))
    options = {} if test else {"test_size": 12}
    with pytest.raises(ValueError, match=rf"{len(names)} of {48 if test else 40} images cannot be read") as caught:
        folder_data(**options).setup("fit")
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("damage", [DAMAGES["no bytes"], DAMAGES["text"], DAMAGES["link to nothing"]])
@pytest.mark.parametrize("test", [0, 4], ids=["test set drawn", "test files"])
def test_damaged_files_of_the_same_content_are_no_copies(damage, test, recwarn):
    write_pets(test=test)
    for name in ("train/cat/003.png", "train/dog/003.png", *(["test/dog/003.png"] if test else [])):
        damage(Path("pets", name))
    datamodule = folder_data(corrupt="skip", val_size=4, **({} if test else {"test_size": 12}))
    datamodule.setup("fit")
    assert not [each for each in recwarn if "cop" in str(each.message)]
    left_out = datamodule.split_report()["left_out"]
    assert set(left_out) <= {"train", "test"}
    assert sum(map(len, left_out.values())) == (3 if test else 2)


def test_copies_that_can_be_read_stay_copies():
    write_pets()
    Path("pets/train/dog/003.png").write_bytes(Path("pets/train/cat/003.png").read_bytes())
    with pytest.warns(UserWarning, match="2 files have a copy with another label: train/cat/003"):
        folder_data().setup("fit")
