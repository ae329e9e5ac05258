import json
import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from litzoo.datamodules import CIFAR10DataModule
from tests.data import builders
from tests.datamodules.recording import record


@pytest.fixture
def root(tmp_path):
    """Class folders alone."""
    builders.write_image_folder(tmp_path / "cifar10", train=60, test=20)
    return tmp_path


def by_hand(part):
    """Reads class after class in CIFAR-10's order, the files of each by name."""
    images, labels, names = [], [], []
    for label, name in enumerate(builders.CIFAR_CLASSES):
        for path in sorted((part / name).glob("*.png")):
            images.append(np.asarray(Image.open(path)).transpose(2, 0, 1))
            labels.append(label)
            names.append(f"{part.name}/{name}/{path.name}")
    return np.stack(images), labels, names


@pytest.mark.parametrize("train", [True, False])
def test_images_come_class_by_class_in_the_order_of_cifar10(root, train):
    datamodule = CIFAR10DataModule(root=str(root))
    images, labels = datamodule.read(train)
    expected, classes, names = by_hand(root / "cifar10" / ("train" if train else "test"))
    assert np.array_equal(images.numpy(), expected)
    assert labels.tolist() == classes
    part = "train" if train else "test"
    assert datamodule.file_names(part, torch.tensor([0, 5])) == [names[0], names[5]]
    if train:
        assert torch.equal(datamodule.read_labels(), labels)


def test_nothing_is_downloaded_where_there_are_class_folders(root, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "file:///nowhere")
    CIFAR10DataModule(root=str(root)).prepare_data()
    assert not (root / "cifar-10-batches-py").exists()


def test_original_files_come_first(root, any_checksum, caplog):
    builders.write_cifar10(root, train=30, test=20)
    datamodule = CIFAR10DataModule(root=str(root))
    with caplog.at_level("INFO"):
        assert len(datamodule.read(train=True)[0]) == 30
    assert (datamodule.source, len(datamodule.read_labels())) == ("cifar-10-batches-py", 30)
    assert f"CIFAR-10 is read from {root / 'cifar-10-batches-py'}" in caplog.text


def test_files_that_are_not_the_original_ones_are_passed_over_and_the_source_is_reported(root, caplog):
    builders.write_cifar10(root, train=30, test=20)
    datamodule = CIFAR10DataModule(root=str(root), val_size=10)
    with caplog.at_level("INFO"):
        datamodule.setup("fit")
        datamodule.setup("test")
    assert (len(datamodule.train_set), len(datamodule.val_set), len(datamodule.test_set)) == (50, 10, 20)
    assert caplog.text.count(f"CIFAR-10 is read from {root / 'cifar10'}") == 1
    assert json.loads(json.dumps(datamodule.split_report()))["source"] == "cifar10"


def test_they_are_trained_on(root):
    recorder = record(CIFAR10DataModule(root=str(root), val_size=10))
    assert recorder.column("train", "input").shape == (50, 3, 32, 32)


@pytest.mark.parametrize("train", [True, False])
def test_an_absent_or_empty_class_is_refused(root, train):
    folder = root / "cifar10" / ("train" if train else "test")
    shutil.rmtree(folder / "cat")
    (folder / "deer").rename(folder / "reindeer")
    with pytest.raises(ValueError, match="no image in the class folder cat, deer; unpack"):
        CIFAR10DataModule(root=str(root)).read(train)


def test_an_image_of_another_size_is_refused(root):
    path = next((root / "cifar10" / "train" / "frog").iterdir())
    Image.new("RGB", (32, 31)).save(path)
    with pytest.raises(ValueError, match=f"{path.name} has 31×32 pixels, other images 32×32; unpack"):
        CIFAR10DataModule(root=str(root)).read(train=True)


def test_a_damaged_image_is_refused(root):
    path = next((root / "cifar10" / "test" / "ship").iterdir())
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=f"{path.name} cannot be read as an image"):
        CIFAR10DataModule(root=str(root)).read(train=False)


def test_without_either_the_folder_of_the_original_files_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py is absent"):
        CIFAR10DataModule(root=str(tmp_path)).read(train=True)
