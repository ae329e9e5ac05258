import gzip

import numpy as np
import pytest
import torch

from litzoo.datamodules import FashionMNISTDataModule, MNISTDataModule
from tests.data import builders

BOTH = pytest.mark.parametrize("datamodule", [MNISTDataModule, FashionMNISTDataModule])
PARTS = pytest.mark.parametrize(("train", "part"), [(True, "train"), (False, "t10k")])


@pytest.fixture
def mnist(tmp_path):
    """Fresh tiny MNIST files that a test may spoil."""
    builders.write_mnist(tmp_path, "MNIST", train=30, test=20)
    return tmp_path / "MNIST" / "raw"


def read(raw, train=True):
    return MNISTDataModule(root=str(raw.parents[1])).read(train)


@BOTH
@PARTS
def test_images_and_labels_are_the_files_bytes(datamodule, train, part, tiny_data):
    raw = tiny_data / datamodule.dataset.__name__ / "raw"
    images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 28, 28)
    labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8)[8:]
    images, targets = datamodule(root=str(tiny_data)).read(train)
    assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)
    assert np.array_equal(images.numpy(), images)
    assert np.array_equal(targets.numpy(), labels)
    assert len(labels) == (100 if train else 40)


@BOTH
def test_present_files_are_not_downloaded(datamodule, tiny_data, monkeypatch):
    monkeypatch.setattr(datamodule.dataset, "mirrors", [])
    datamodule(root=str(tiny_data)).prepare_data()


def cut(size):
    return lambda content: content[:size]


@PARTS
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
@pytest.mark.parametrize(
    "spoil",
    [cut(0), cut(2), cut(4), cut(7), cut(8), cut(16), cut(20), cut(-1), lambda content: content + b"\0"],
    ids=["empty", "in magic", "magic", "in sizes", "size", "header", "in data", "last byte", "too long"],
)
def test_a_truncated_or_overlong_file_is_named(mnist, train, part, kind, spoil):
    path = mnist / f"{part}-{kind}-ubyte"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match="truncated") as error:
        read(mnist, train)
    assert str(path) in str(error.value)
    assert "truncated ()" not in str(error.value), "the reason is empty"


@pytest.mark.parametrize(
    "content",
    [b"hello, this is text", b"\0" * 100, b"\xff" * 100, gzip.compress(b"x" * 1000), b"<html><body>404</body></html>"],
    ids=["text", "zeros", "ones", "gz", "html"],
)
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_a_foreign_file_is_named_with_the_reason(mnist, kind, content):
    path = mnist / f"train-{kind}-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a file of this data set") as error:
        read(mnist)
    assert str(path) in str(error.value)
    assert "truncated ()" not in str(error.value), "the reason is empty"


@pytest.mark.parametrize(("kind", "other"), [("images-idx3", "labels-idx1"), ("labels-idx1", "images-idx3")])
def test_swapped_files_are_named(mnist, kind, other):
    path = mnist / f"train-{kind}-ubyte"
    path.write_bytes((mnist / f"train-{other}-ubyte").read_bytes())
    with pytest.raises(ValueError, match="dimension") as error:
        read(mnist)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_an_absent_file_is_named(mnist, kind):
    (mnist / f"t10k-{kind}-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=f"t10k-{kind}-ubyte is absent"):
        read(mnist, train=False)


@PARTS
def test_other_numbers_of_labels_than_images_are_refused_with_both(mnist, train, part):
    builders.write_idx(mnist / f"{part}-labels-idx1-ubyte", np.zeros(17, np.uint8))
    with pytest.raises(ValueError, match=f"{part} has {30 if train else 20} images .* 17 labels") as error:
        read(mnist, train)
    assert str(mnist) in str(error.value)


@pytest.mark.parametrize("shape", [(30, 28, 27), (30, 32, 32), (30, 1, 28)])
def test_images_of_another_size_are_refused(mnist, shape):
    builders.write_idx(mnist / "train-images-idx3-ubyte", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=f"train has 30 images of .{shape[1]}, {shape[2]}.*expected.*28, 28"):
        read(mnist)


def test_labels_that_no_class_has_are_refused(mnist):
    builders.write_idx(mnist / "train-labels-idx1-ubyte", np.arange(30) % 11)
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.*0 to 9"):
        read(mnist)
