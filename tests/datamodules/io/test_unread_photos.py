"""Photos in formats that Pillow cannot decode: whoever lists or reads them says to convert them."""

import re
from pathlib import Path

import pytest

from litzoo.datamodules.io.decoding import DamagedImageError
from litzoo.datamodules.io.images import ImageReader
from litzoo.scripts.predict.inputs import image_files
from tests.datamodules.image_folder import folder_data, write_class, write_pets

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
ADVICE = r"; convert HEIC and raw photos, such as \S*IMG_1\.(HEIC|NEF), to JPEG or PNG"


@pytest.fixture(params=["IMG_1.HEIC", "IMG_1.NEF"])
def photo(request):
    """The name of a photo as a phone or a camera writes it."""
    return request.param


def write_photo(*parts):
    Path(*parts).parent.mkdir(parents=True, exist_ok=True)
    Path(*parts).write_bytes(HEIC)


@pytest.mark.parametrize("folder", ["pets", "pets/train/dog"])
def test_those_that_a_training_leaves_out_are_named_with_the_advice(photo, folder):
    write_photo(write_pets().parent, folder, photo)
    with pytest.warns(UserWarning, match=rf"1 file is left out: .*{photo} \(.*\){ADVICE}$"):
        folder_data().setup("fit")


def test_other_files_beside_the_class_folders_are_ignored(recwarn):
    Path(write_pets(), "README.txt").write_text("Our pets")
    folder_data().setup("fit")
    assert not [each for each in recwarn if "README" in str(each.message)]


def test_a_class_folder_of_such_photos_only_is_refused_with_the_advice(photo):
    write_pets()
    write_photo("pets/train/horse", photo)
    with pytest.raises(ValueError, match=f"no image in the class folder horse; fill or remove it{ADVICE}"):
        folder_data().setup("fit")


def test_a_pool_and_new_images_of_such_photos_only_are_refused_with_the_advice(photo):
    write_pets()
    write_photo("more", photo)
    with pytest.raises(FileNotFoundError, match=f"more holds no image; .*{ADVICE}$"):
        folder_data(unlabeled_folder="more")
    with pytest.raises(FileNotFoundError, match=f"more: holds no image; .*{ADVICE}$"):
        image_files(Path("more"))
    write_class("more", 1)
    with pytest.warns(UserWarning, match=rf"more: 1 file is left out, which is no image: {photo}{ADVICE}$"):
        assert image_files(Path("more")) == [Path("more/000.png")]


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.NEF", "IMG_1.jpg"])
def test_one_that_is_read_is_refused_with_the_advice_whatever_its_name(name):
    write_photo(name)
    message = f"{name} cannot be read as an image: it is a HEIC or raw photo; convert it to JPEG or PNG"
    with pytest.raises(DamagedImageError, match=re.escape(message)):
        ImageReader((3, 8, 8), resize=True)(Path(name))
