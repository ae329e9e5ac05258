"""Images and tables may be anywhere, and links to other disks are followed."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from litzoo.datamodules import CSVRegressionDataModule
from tests.counted import count
from tests.datamodules.image_folder import as_tensor, folder_data, noise, save, write_class, write_pets


@pytest.fixture
def root():
    """A folder with cats and dogs and a table; beside it another one with more of them."""
    for place in ("root", "beside"):
        write_pets(f"{place}/pets")
        Path(place, "table.csv").write_text("size,y\n" + "".join(f"{row},{row % 3}\n" for row in range(20)))
    return Path("root")


def link(path, target):
    """Puts a link in the place of what is there."""
    path = Path(path)
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    path.symlink_to(target)


def read(folder="pets"):
    datamodule = folder_data(folder, root="root")
    datamodule.setup("fit")
    return datamodule


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("place", ["train/cat/000.png", "test/dog/001.png"])
def test_a_linked_image_on_another_disk_is_read(root, place, relative):
    path, target = root / "pets" / place, save("beside/other.png", noise(6, 6, seed=999))
    link(path, os.path.relpath(target, path.parent) if relative else os.path.abspath(target))
    images = torch.cat([read().read(train=train)[0] for train in (True, False)])
    assert (images == as_tensor(Image.open(target))).flatten(1).all(1).sum() == 1


@pytest.mark.parametrize("place", ["pets", "pets/train", "pets/test", "pets/train/dog", "pets/test/cat"])
def test_a_linked_folder_on_another_disk_is_read(root, place):
    link(root / place, Path("beside", place).absolute())
    datamodule = read()
    assert datamodule.class_names == ("cat", "dog")
    assert len(datamodule.read(train=True)[1]) == 40


def test_a_link_to_a_link_is_followed(root):
    link("root/one", "two")
    link("root/two", Path("beside/pets/train/dog").absolute())
    link("root/pets/train/dog", Path("root/one").absolute())
    assert len(read().read(train=True)[1]) == 40


@pytest.mark.parametrize("name", ["../beside/pets", "{here}/beside/pets", "pets/../../beside/pets", "beside/pets"])
def test_the_folder_may_be_anywhere(root, name):
    write_class("beside/pets/train/emu", 3, seed=500)
    assert folder_data(name.format(here=Path.cwd()), root="root").class_names == ("cat", "dog", "emu")


def test_the_working_folder_comes_before_the_root(root):
    write_pets("pets")
    write_class("pets/train/emu", 3, seed=500)
    with pytest.warns(UserWarning, match="pets in the working folder is used, not root/pets; give an absolute path"):
        assert folder_data("pets", root="root").class_names == ("cat", "dog", "emu")


def test_a_folder_that_is_nowhere_is_refused_with_where_it_was_looked_for(root):
    with pytest.raises(FileNotFoundError, match=r"root/none is not a folder.*working folder, then in data\.root"):
        folder_data("none", root="root")
    count("inputs refused")


@pytest.mark.parametrize("above", [False, True])
def test_links_within_the_root_are_followed(root, above):
    write_class("root/more/cows", 12, seed=77)
    link("root/pets/train/cow", Path("root/more/cows").absolute())
    link("root/pets/train/cat/zzz.png", Path("../../../more/cows/000.png"))
    (root / "pets/test/cow").mkdir()
    if above:  # the root itself may be one
        shutil.move("root", "place")
        link("root", "place")
    datamodule = read()
    assert datamodule.class_names == ("cat", "cow", "dog")
    assert len(datamodule.read(train=True)[1]) == 21 + 12 + 20


def test_a_folder_that_holds_both_is_the_remedy(root):
    link(root / "pets/train/dog", Path("beside/pets/train/dog").absolute())
    datamodule = folder_data("root/pets", root=".")
    datamodule.setup("fit")
    assert datamodule.class_names == ("cat", "dog")


@pytest.mark.parametrize("corrupt", ["refuse", "skip"])
def test_an_image_that_is_a_link_to_itself_is_a_damaged_one(root, corrupt):
    link(root / "pets/train/cat/000.png", "001.png")
    link(root / "pets/train/cat/001.png", "000.png")
    datamodule = folder_data("pets", root="root", corrupt=corrupt, size=6)
    if corrupt == "refuse":
        with pytest.raises(ValueError, match=r"root/pets/train/cat/000\.png cannot be read as an image"):
            datamodule.setup("fit")
        count("inputs refused")
    else:
        with pytest.warns(UserWarning, match=r"2 of 40 files are left out: train/cat/000\.png, train/cat/001\.png"):
            datamodule.setup("fit")


@pytest.mark.parametrize("target", ["cow", "gone"])
def test_a_class_that_is_a_link_to_nowhere_is_refused_by_name(root, target):
    link(root / "pets/train/cow", target)
    with pytest.raises(ValueError, match="root/pets/train/cow is a broken link; repair or remove it"):
        read()
    count("inputs refused")


def test_links_that_are_no_images_are_passed_over(root):
    link(root / "pets/train/README", Path("beside/table.csv").absolute())
    link(root / "pets/train/cat/notes.txt", Path("beside/table.csv").absolute())
    link(root / "pets/train/cat/around", Path("..").absolute())
    link(root / "pets/train/.cache", Path("beside").absolute())
    assert len(read().read(train=True)[1]) == 40


@pytest.mark.parametrize("name", ["../beside/table.csv", "{here}/beside/table.csv", "beside/table.csv", "link"])
def test_a_table_may_be_anywhere(root, name):
    link("root/link", Path("beside/table.csv").absolute())
    table = CSVRegressionDataModule(file=name.format(here=Path.cwd()), target="y", root="root")
    table.setup("fit")
    assert table.path.resolve() == Path("beside/table.csv").resolve()


def test_an_option_may_give_a_place_within_in_full(root):
    assert folder_data(str(Path("root/pets").absolute()), root="root").class_names == ("cat", "dog")
    table = CSVRegressionDataModule(file="pets/../table.csv", target="y", root="root")
    table.setup("fit")
    assert table.input_shape == (1,)
