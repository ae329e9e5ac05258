import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.data import builders
from tests.data.broken import (
    compress,
    cut,
    fill,
    link_to,
    make_folder,
    make_pipe,
    png_of,
    put,
    swap,
    write_damaged_mnist,
    write_pets,
)
from tests.scripts.helpers import CONFIGS, QUIET, SHORT

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
MNIST = ["fit", *QUIET, "--config", str(CONFIGS / "mnist_mlp.yaml"), "--data.root=data", "--data.val_size=20"]
CIFAR = ["fit", *QUIET, "--config", str(CONFIGS / "cifar10_resnet18.yaml"), "--data.root=data"]
FOLDER = ["fit", *QUIET, *SHORT, "--config", str(CONFIGS / "image_folder.yaml"), "--data.root=data"]
TABLE = ["fit", *QUIET, *SHORT, "--config", str(CONFIGS / "california_housing.yaml"), "--data.root=data"]
MASKS = ["fit", *QUIET, *SHORT, "--config", str(CONFIGS / "nuclei_maskrcnn.yaml"), "--data.root=data"]
REMEDY = "remove its folder to download it again"

# Which of MNIST's files is damaged and how -> what the message must name beside the file and the remedy.
TABLE_OF_MNIST = {
    "no bytes": (IMAGES, cut(0), ["0 of the 16 bytes"]),
    "cut in the magic number": (IMAGES, cut(2), ["2 of the 16 bytes"]),
    "cut before the count": (IMAGES, cut(4), ["4 of the 16 bytes"]),
    "cut before the columns": (IMAGES, cut(12), ["12 of the 16 bytes"]),
    "cut after the header": (IMAGES, cut(16), ["100 × 28 × 28", "0 follow"]),
    "cut in the pixels": (IMAGES, cut(-1), ["100 × 28 × 28", "78399 follow"]),
    "labels cut in the count": (LABELS, cut(7), ["7 of the 8 bytes"]),
    "labels cut after the header": (LABELS, cut(8), ["100 bytes", "0 follow"]),
    "another magic number": (IMAGES, put(0, 0xDEAD), ["0x0000dead", "0x00000803"]),
    "an image more in the header": (IMAGES, put(4, 101), ["101 × 28 × 28", "78400 follow"]),
    "2 to the 31 images": (IMAGES, put(4, 2**31), ["2147483648 × 28 × 28", "78400 follow"]),
    "rows without end": (IMAGES, put(8, 2**32 - 1), ["100 × 4294967295 × 28"]),
    "a label that no class has": (LABELS, put(8, 0x0A000000), ["label 10", "0 to 9"]),
    "compressed": (IMAGES, compress, ["compressed", "gunzip"]),
    "a web page": (IMAGES, fill(b"<html>404: Not Found</html>"), ["0x3c68746d", "0x00000803"]),
    "a folder": (IMAGES, make_folder, ["folder"]),
    "a pipe": (IMAGES, make_pipe, ["not a regular file"]),
    "a device": (LABELS, link_to("/dev/zero"), ["not a regular file"]),
    "images for labels": (IMAGES, lambda path: swap(path, path.with_name(LABELS)), ["0x00000801", "3 dimensions"]),
    "images of another size": (
        IMAGES,
        lambda path: builders.write_idx(path, np.zeros((100, 32, 32))),
        ["(32, 32)", "(28, 28)"],
    ),
}
# What is found before training, though only a test reads it.
TABLE_OF_TEST_FILES = {
    "test labels that no class has": (TEST_LABELS, put(8, 0x0A000000), ["label 10", "0 to 9"]),
    "test images cut off": (TEST_IMAGES, cut(-5), ["40 × 28 × 28"]),
    "test images absent": (TEST_IMAGES, lambda path: path.unlink(), ["absent"]),
}

TABLE_OF_PLACES = {
    "labels of another part": (
        lambda raw: swap(raw / LABELS, raw / TEST_LABELS),
        ["data/MNIST/raw", "100", "40 labels"],
    ),
    "an empty folder": (
        lambda raw: (shutil.rmtree(raw), raw.mkdir()),
        ["data/MNIST/raw/train-images", "absent", REMEDY],
    ),
    "files that are compressed": (
        lambda raw: [path.rename(f"{path}.gz") for path in list(raw.iterdir())],
        ["train-images-idx3-ubyte.gz", "gunzip"],
    ),
    "a file in the folder's place": (
        lambda raw: (shutil.rmtree(raw.parent), raw.parent.write_text("")),
        ["train-images-idx3-ubyte", "Not a directory", REMEDY],
    ),
    "a file in the root's place": (
        lambda raw: (shutil.rmtree("data"), Path("data").write_text("")),
        ["data/MNIST", "File exists", "--data.root", "LITZOO_DATA_DIR"],
    ),
    "a root that is a link to itself": (
        lambda raw: (shutil.rmtree("data"), Path("data").symlink_to("data")),
        ["data/MNIST", "File exists", "--data.root", "LITZOO_DATA_DIR"],
    ),
    "a folder that is a link to itself": (
        lambda raw: (shutil.rmtree(raw.parent), raw.parent.symlink_to("MNIST")),
        ["data/MNIST", "link", "--data.root", "LITZOO_DATA_DIR"],
    ),
}

# What is done to the folder of cats and dogs -> what the message must name.
IMAGE, FIRST = "train/dog/05.png", "train/cat/00.png"
TABLE_OF_FOLDERS = {
    "text": (lambda pets: fill(b"404")(pets / IMAGE), [IMAGE, "cannot be read as an image"]),
    "cut PNG": (lambda pets: cut(200)(pets / IMAGE), [IMAGE, "truncated"]),
    "decompression bomb": (lambda pets: fill(png_of(50_000, 50_000))(pets / IMAGE), [IMAGE, "2500000000 pixels"]),
    "bomb that sets the size": (
        lambda pets: fill(png_of(50_000, 50_000))(pets / FIRST),
        [FIRST, "2500000000 pixels", "data.size"],
    ),
    "pipe": (lambda pets: make_pipe(pets / IMAGE), [IMAGE, "not a regular file"]),
    "link to itself": (lambda pets: link_to("05.png")(pets / IMAGE), [IMAGE, "symbolic links"]),
    "empty class": (lambda pets: (pets / "train/emu").mkdir(), ["train", "emu", "fill or remove"]),
    "class of no name": (lambda pets: (pets / "train/e\udcffu").mkdir(), ["train", "udcff", "rename"]),
    "no class": (lambda pets: (shutil.rmtree(pets), pets.mkdir()), ["data/pets", "0 class folders", "at least 2"]),
    "no folder": (shutil.rmtree, ["data/pets", "not a folder", "data.root", "LITZOO_DATA_DIR"]),
    "file for a folder": (lambda pets: (shutil.rmtree(pets), pets.write_text("")), ["data/pets", "not a folder"]),
    "images without a class": (
        lambda pets: (shutil.rmtree(pets / "train"), (pets / "test/cat/00.png").rename(pets / "00.png")),
        ["data/pets", "train and test"],
    ),
}

# What the file holds -> what the message must name.
TABLE_OF_CSV = {
    "folder": (lambda path: path.mkdir(), ["folder", "data.root", "LITZOO_DATA_DIR"]),
    "pipe": (make_pipe, ["not a regular file"]),
    "device": (link_to("/dev/zero"), ["not a regular file"]),
    "no UTF-8": (fill(b"a\x81,median_house_value\n1,2\n"), ["not a CSV file", "0x81", "data.encoding"]),
    "a workbook": (fill(b"PK\x03\x04\x00\x00"), ["not a CSV file", "save a workbook as CSV"]),
    "rows of other lengths": (fill(b"a,median_house_value\n1,2\n3\n"), ["row 3", "1 cell,", "2"]),
    "two separators": (fill(b"a;b,c\n1;2,3\n"), ["commas and semicolons", "data.separator"]),
    "column beyond all bounds": (
        fill(b"a,median_house_value\n" + b"".join(b"1e%d,%d\n" % (200 + row, row) for row in range(30))),
        ["'a'", "1e+18", "data.drop_columns"],
    ),
    "target beyond all bounds": (
        fill(b"a,median_house_value\n" + b"".join(b"%d,1e%d\n" % (row, 200 + row) for row in range(30))),
        ["'median_house_value'", "1e+18", "scale"],
    ),
}

# What is done to images with masks -> what the message must name.
MASK = "train/PedMasks/05_mask.png"
TABLE_OF_MASKS = {
    "another size": (
        lambda nuclei: shutil.copy(nuclei / "train/PedMasks/03_mask.png", nuclei / MASK),
        [MASK, "32×32", "32×40"],
    ),
    "no mask": (lambda nuclei: (nuclei / MASK).unlink(), ["train/PNGImages/05.png", "no mask", "05_mask.png"]),
    "cut PNG": (lambda nuclei: cut(60)(nuclei / MASK), [MASK, "cannot be read"]),
    "damage in the test part": (
        lambda nuclei: fill(b"404")(nuclei / "test/PNGImages/02.png"),
        ["test/PNGImages/02.png", "cannot be read"],
    ),
    "no part": (lambda nuclei: shutil.rmtree(nuclei / "test"), ["data/nuclei", "train and test, or neither"]),
}


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [*TABLE_OF_MNIST.values(), *TABLE_OF_TEST_FILES.values()],
    ids=[*TABLE_OF_MNIST, *TABLE_OF_TEST_FILES],
)
def test_damaged_mnist_file_is_refused_before_training(file, damage, words, refused):
    write_damaged_mnist(Path("data"), file, damage)
    refused(MNIST, ["data/MNIST/raw", *([] if "(32, 32)" in words else [file]), "to download it again", *words])


@pytest.mark.parametrize(("damage", "words"), TABLE_OF_PLACES.values(), ids=TABLE_OF_PLACES)
def test_mnist_that_is_not_where_it_belongs_is_refused(damage, words, refused):
    builders.write_mnist(Path("data"))
    damage(Path("data/MNIST/raw"))
    refused(MNIST, words)


@pytest.mark.parametrize(("damage", "words"), TABLE_OF_FOLDERS.values(), ids=TABLE_OF_FOLDERS)
def test_damaged_folder_of_images_is_refused(damage, words, refused, request):
    write_pets(Path("data/pets"))
    damage(Path("data/pets"))
    size = "null" if "data.size" in words else "32"
    refused([*FOLDER, "--data.folder=pets", f"--data.size={size}"], words)


def test_truncated_jpeg_is_refused(refused):
    write_pets(Path("data/pets"), "jpg")
    cut(700)(Path("data/pets/train/dog/05.jpg"))
    refused([*FOLDER, "--data.folder=pets", "--data.size=32", "--data.val_size=2"], ["train/dog/05.jpg", "truncated"])


@pytest.mark.parametrize(("damage", "words"), TABLE_OF_MASKS.values(), ids=TABLE_OF_MASKS)
def test_damaged_masks_are_refused(damage, words, refused):
    for part in ("train", "test"):
        builders.write_instances(Path("data/nuclei") / part, 8)
    damage(Path("data/nuclei"))
    refused([*MASKS, "--data.val_size=2"], [*words, *([] if "data/nuclei" in words else ["data.corrupt to skip"])])


@pytest.mark.parametrize(("write", "words"), TABLE_OF_CSV.values(), ids=TABLE_OF_CSV)
def test_file_that_is_no_table_is_refused(write, words, refused):
    Path("data").mkdir()
    write(Path("data/california_housing.csv"))
    refused(TABLE, ["data/california_housing.csv", *words])


@pytest.mark.parametrize(
    "damage", [cut(3000), cut(0), make_folder, fill(b"\x80\x04K\x03.")], ids=["cut", "empty", "folder", "3"]
)
def test_cifar10_with_a_file_of_another_checksum_is_refused(damage, refused):
    builders.write_cifar10(Path("data"))
    damage(Path("data/cifar-10-batches-py/data_batch_1"))
    refused(CIFAR, ["data/cifar-10-batches-py", "data_batch_1", "another checksum", "remove the folder"])


def test_gunzip_is_the_remedy_for_a_compressed_file(tiny_data):
    from litzoo.datamodules import MNISTDataModule

    write_damaged_mnist(Path("data"), IMAGES, compress)
    path = Path("data/MNIST/raw", IMAGES)
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert len(MNISTDataModule(root="data").read(train=True)[1]) == 100
