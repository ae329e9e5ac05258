"""A checkpoint tested or resumed after its images were encoded anew, or copied."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datamodules.image_folder import folder_data, write_class
from tests.datamodules.images.test_grown_folders import train, use


@pytest.fixture(autouse=True)
def pets():
    """Cats and dogs in two class folders."""
    for number, name in enumerate(("cat", "dog")):
        write_class(f"pets/{name}", 50, seed=100 * number)


def scene(seed):
    """A smooth picture, as photos are."""
    image = np.random.RandomState(seed).randint(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC)


def encode_anew(quality=90):
    for path in [*Path("pets").rglob("*.png")]:
        Image.open(path).resize((40, 40), Image.Resampling.BILINEAR).save(path.with_suffix(".jpg"), quality=quality)
        path.unlink()


def test_training_images_that_are_encoded_anew_are_not_tested():
    for number, path in enumerate(sorted(Path("pets").rglob("*.png"))):
        scene(number).save(path)
    trained = train(size=32)
    known = {Path(name).with_suffix(".jpg").as_posix() for name in trained.files["train"]}
    encode_anew()
    with pytest.warns(UserWarning, match="would be tested, but the checkpoint was trained on them"):
        tested, _ = use("test", size=32)
    assert tested.files["test"]
    assert not known & {*tested.files["test"]}
    assert known & {*tested.split_report()["left_out"]["trained on"]}


def test_without_recorded_images_their_absence_is_reported():
    train(size=32, near_duplicates="keep")
    encode_anew()
    with pytest.warns(UserWarning, match=r"of the \d+ images that the checkpoint was trained on are no longer in pets"):
        use("test", size=32, near_duplicates="keep")


def test_copies_of_training_images_wait_when_resuming():
    trained = train()
    name = trained.files["train"][0]
    shutil.copy(Path("pets", name), "pets/cat/000 copy.png")
    shutil.copy(Path("pets", name), "pets/dog/copy.png")
    with pytest.warns(UserWarning, match=r"2 files are left out: .*copy\.png.*new since the checkpoint"):
        resumed, _ = use("fit")
    assert resumed.fingerprint() == trained.fingerprint()
    assert name in resumed.files["train"]


def test_colours_that_are_one_grey_are_copies_for_a_grey_network():
    for path in sorted(Path("pets").rglob("*.png")):
        scene(int(path.stem) + 100 * (path.parent.name == "dog")).save(path)
        grey = path.with_name(f"{path.stem} grey.png")
        Image.open(path).convert("L").save(grey)
    datamodule = folder_data(size=16, grey=True)
    with pytest.warns(UserWarning, match="copies of images in another part"):
        datamodule.setup("fit")
    pictures = [(name.split("/")[0], name.split("/")[1][:3]) for name in datamodule.files["train"]]
    tested = [(name.split("/")[0], name.split("/")[1][:3]) for name in datamodule.files["test"]]
    assert tested
    assert not {*pictures} & {*tested}
