import shutil
from pathlib import Path

import pytest

from tests.datamodules.image_folder import folder_data, noise, save, write_class, write_pets

LAZY = {"memory_limit": 0}
HOW_READ = pytest.mark.parametrize("options", [{}, LAZY], ids=["memory", "lazy"])


@pytest.fixture
def pets():
    """A folder of cats and dogs, 20 a class to train on and 4 a class to test on."""
    return write_pets()


@HOW_READ
@pytest.mark.parametrize("corrupt", ["refuse", "skip"])
def test_mixed_sizes_are_refused_with_the_remedy(pets, corrupt, options):
    save(pets / "train" / "dog" / "odd.png", noise(6, 7))
    with pytest.raises(ValueError, match=r"dog/odd\.png has 6×7 pixels, other images 6×6.*data\.size"):
        folder_data(corrupt=corrupt, **options).setup("fit")


@pytest.mark.parametrize("size", [None, 6])
@pytest.mark.parametrize("classes", [["cat"], ["dog"], ["cat", "dog"]])
def test_an_empty_class_is_refused_by_name(pets, classes, size):
    for name in classes:
        shutil.rmtree(pets / "train" / name)
        (pets / "train" / name).mkdir()
    with pytest.raises(ValueError, match=f"pets/train: no image in the class folder {', '.join(classes)}; fill or"):
        folder_data(size=size).setup("fit")


def test_a_test_set_without_an_image_is_refused(pets):
    for name in ("cat", "dog"):
        shutil.rmtree(pets / "test" / name)
        (pets / "test" / name).mkdir()
    with pytest.raises(ValueError, match="pets/test: no image in the class folder cat, dog"):
        folder_data().setup("test")


def test_a_test_class_that_training_has_not_is_refused(pets):
    write_class(pets / "test" / "emu", 2)
    with pytest.raises(ValueError, match="pets/test has class folders that the training set does not have: emu"):
        folder_data().setup("test")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pets: (pets / "test/cat/001.png").write_text("404 Not Found"),
        lambda pets: write_class(pets / "test/emu", 1),
    ],
)
def test_what_is_wrong_with_the_test_set_is_said_before_training(pets, spoil):
    spoil(pets)
    datamodule = folder_data()
    with pytest.raises(ValueError, match="pets/test"):
        datamodule.prepare_data(), datamodule.setup("fit")


def test_less_than_two_classes_are_refused(pets):
    shutil.rmtree(pets / "train" / "dog")
    with pytest.raises(ValueError, match=r"1 class folders \(cat\); it needs at least 2"):
        folder_data()


def test_too_few_images_to_hold_some_out_are_refused():
    write_class("few/cat", 1), write_class("few/dog", 1, seed=9)
    with pytest.raises(ValueError, match=r"data\.test_size: a fraction of 0\.2 of 2 samples is less than one"):
        folder_data("few").setup("fit")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"folder": "none"}, FileNotFoundError, "none is not a folder"),
        ({"size": 0}, ValueError, "data.size: 0"),
        ({"size": (4, -1)}, ValueError, r"data.size: \(4, -1\)"),
        ({"corrupt": "ignore"}, ValueError, "data.corrupt: 'ignore' is not one of refuse, skip"),
        ({"memory_limit": -1}, ValueError, "data.memory_limit: -1"),
        ({"known_classes": ["cat", "cow"]}, ValueError, "no class 'cow'; the classes are cat, dog"),
    ],
)
def test_an_impossible_option_is_refused(pets, options, error, words):
    with pytest.raises(error, match=words):
        folder_data(**options)


def test_all_damaged_files_are_counted_and_the_option_is_named():
    write_class("hurt/train/cat", 3, seed=0)
    write_class("hurt/train/dog", 3, seed=9)
    write_class("hurt/test/cat", 1, seed=20)
    write_class("hurt/test/dog", 1, seed=30)
    for name in ("a.png", "b.png"):
        Path("hurt/train/dog", name).write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"2 of \d+ images .*data\.corrupt skip:\n.*a\.png.*\n.*b\.png"):
        folder_data("hurt", size=6, val_size=2).read(train=True)
