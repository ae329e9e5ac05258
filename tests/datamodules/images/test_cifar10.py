import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision

from litzoo.datamodules import CIFAR10DataModule
from tests.counted import count
from tests.data import builders
from tests.malice import RAN, RunsCode


@pytest.fixture
def cifar(tmp_path):
    """Fresh tiny CIFAR-10 files that a test may spoil."""
    builders.write_cifar10(tmp_path, train=30, test=20)
    return tmp_path / "cifar-10-batches-py"


def read(folder, train=True):
    return CIFAR10DataModule(root=str(folder.parent)).read(train)


@pytest.mark.usefixtures("any_checksum")
@pytest.mark.parametrize("train", [True, False])
def test_images_and_labels_are_the_files_planes(train, tiny_data):
    folder = tiny_data / "cifar-10-batches-py"
    files = [f"data_batch_{number}" for number in range(1, 6)] if train else ["test_batch"]
    batches = [pickle.loads((folder / file).read_bytes()) for file in files]
    images, targets = read(folder, train)
    assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)
    rows = np.concatenate([batch["data"] for batch in batches])
    for channel in range(3):  # a row is the red plane, then the green, then the blue, each row by row
        plane = rows[:, channel * 1024 : (channel + 1) * 1024].reshape(-1, 32, 32)
        assert np.array_equal(images[:, channel].numpy(), plane)
    assert targets.tolist() == [label for batch in batches for label in batch["labels"]]
    assert images.is_contiguous()


def test_class_names_are_in_the_order_of_the_file(tiny_data):
    meta = pickle.loads((tiny_data / "cifar-10-batches-py" / "batches.meta").read_bytes())
    assert list(CIFAR10DataModule.class_names) == meta["label_names"]


def test_present_files_are_not_downloaded(tiny_data, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "file:///nowhere")
    CIFAR10DataModule(root=str(tiny_data)).prepare_data()


def refused(folder, train):
    with pytest.raises(ValueError, match="does not hold the files of CIFAR-10") as error:
        read(folder, train)
    assert str(folder) in str(error.value)
    assert "truncated ()" not in str(error.value), "the reason is empty"


@pytest.mark.parametrize("train", [True, False])
def test_files_with_other_checksums_are_refused(cifar, train):
    refused(cifar, train)


@pytest.mark.parametrize("file", ["data_batch_1", "data_batch_5", "batches.meta"])
def test_a_tampered_file_is_refused_before_any_is_unpickled(cifar, file, monkeypatch):
    dataset = torchvision.datasets.CIFAR10

    def right(name):
        return hashlib.md5((cifar / name).read_bytes()).hexdigest()

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(dataset, part, [[name, right(name)] for name, _ in getattr(dataset, part)])
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": right("batches.meta")})
    assert len(read(cifar)[1]) == 30
    (cifar / file).write_bytes(pickle.dumps(RunsCode()))
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("a file was unpickled"))
    refused(cifar, train=True)
    refused(cifar, train=False)
    assert not RAN.exists()
    count("inputs refused")


@pytest.mark.usefixtures("any_checksum")
@pytest.mark.parametrize(("train", "file"), [(True, "data_batch_1"), (True, "data_batch_5"), (False, "test_batch")])
@pytest.mark.parametrize("fraction", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(cifar, train, file, fraction):
    content = (cifar / file).read_bytes()
    (cifar / file).write_bytes(content[: int(len(content) * fraction)])
    refused(cifar, train)


@pytest.mark.usefixtures("any_checksum")
@pytest.mark.parametrize("content", [b"hello, this is text", b"\0" * 100, pickle.dumps({"other": 1}), pickle.dumps(3)])
def test_a_foreign_file_is_refused(cifar, content):
    (cifar / "data_batch_3").write_bytes(content)
    refused(cifar, train=True)


@pytest.mark.usefixtures("any_checksum")
@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
@pytest.mark.parametrize("train", [True, False])
def test_an_absent_file_is_refused(cifar, train, file):
    (cifar / file).unlink()
    refused(cifar, train)


@pytest.mark.usefixtures("any_checksum")
def test_images_of_another_size_are_refused(cifar):
    batch = {"data": np.zeros((6, 3 * 31 * 31), np.uint8), "labels": [0] * 6}
    (cifar / "data_batch_2").write_bytes(pickle.dumps(batch))
    refused(cifar, train=True)
