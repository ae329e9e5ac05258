"""KMNIST, EMNIST, SVHN and CIFAR-100 are read as torchvision reads them."""

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat

from litzoo.datamodules import (
    AsymmetricNoise,
    CIFAR100DataModule,
    EMNISTDataModule,
    HumanNoise,
    KMNISTDataModule,
    SVHNDataModule,
)
from litzoo.datamodules.images.cifar100 import SUPERCLASSES
from tests.counted import count
from tests.data import builders, further
from tests.scripts.helpers import litzoo

PARTS = pytest.mark.parametrize("train", [True, False])
SUBSETS = pytest.mark.parametrize("subset", list(further.SUBSETS))


def pixels(dataset):
    """Returns a data set of torchvision as tensors, through its own reading and its Pillow images."""
    images = np.stack([np.atleast_3d(np.asarray(image)) for image, _ in dataset])
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.tensor([label for _, label in dataset])


def assert_equal(found, expected):
    images, labels = found
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert images.is_contiguous()
    assert torch.equal(images, expected[0])
    assert torch.equal(labels, expected[1])


@PARTS
def test_kmnist_is_what_torchvision_reads(train, tmp_path):
    builders.write_mnist(tmp_path, "KMNIST")
    expected = pixels(torchvision.datasets.KMNIST(tmp_path, train=train))
    assert_equal(KMNISTDataModule(root=str(tmp_path)).read(train), expected)


@PARTS
@SUBSETS
def test_emnist_is_what_torchvision_reads_but_upright_and_from_class_0(subset, train, tmp_path):
    further.write_emnist(tmp_path)
    expected = torchvision.datasets.EMNIST(tmp_path, split=subset, train=train)
    first = 1 if subset == "letters" else 0
    module = EMNISTDataModule(root=str(tmp_path), subset=subset)
    images, labels = pixels(expected)
    assert_equal(module.read(train), (images.transpose(2, 3), labels - first))
    assert list(module.class_names) == list(expected.classes)[first:]
    assert module.num_classes == further.SUBSETS[subset]
    if train:
        assert torch.equal(module.read_labels(), labels - first)


def test_emnist_of_other_labels_or_subsets_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data.subset: 'byclass' is not one of balanced, letters, digits"):
        EMNISTDataModule(subset="byclass")
    further.write_emnist(tmp_path)
    raw = tmp_path / "EMNIST" / "raw"
    for labels, words in [(np.arange(120) % 27, "label 0, but labels begin at 1"), (np.arange(120) % 28, "27")]:
        builders.write_idx(raw / "emnist-letters-train-labels-idx1-ubyte", labels)
        with pytest.raises(ValueError, match=words):
            EMNISTDataModule(root=str(tmp_path), subset="letters").read(train=True)
    count("inputs refused", 2)


def test_subsets_of_emnist_have_different_fingerprints(tmp_path):
    further.write_emnist(tmp_path)
    modules = [EMNISTDataModule(root=str(tmp_path), subset=subset) for subset in further.SUBSETS]
    for module in modules:
        module.setup("fit")
    assert len({module.fingerprint() for module in modules}) == 3
    assert modules[1].split_options()["subset"] == "letters"


@PARTS
@pytest.mark.parametrize("folder", ["SVHN", "."])
def test_svhn_is_what_torchvision_reads_in_its_own_folder_or_torchvisions(folder, train, tmp_path, monkeypatch):
    further.write_svhn(tmp_path / folder)
    lists = {part: [*each[:2], None] for part, each in torchvision.datasets.SVHN.split_list.items()}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)
    expected = pixels(torchvision.datasets.SVHN(tmp_path / folder, split="train" if train else "test"))
    module = SVHNDataModule(root=str(tmp_path))
    module.prepare_data()  # nothing is to be downloaded
    assert_equal(module.read(train), expected)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.arange(4)[:, None]}, "labels from 0 to 3, not 1 to 10"),
        ({"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.ones((5, 1))}, "with 5 labels"),
        ({"X": np.zeros((32, 32, 3, 4)), "y": np.ones((4, 1))}, "float64"),
        ({"other": np.zeros(3)}, "'X'"),
        (b"hello, this is text", "not a file of SVHN"),
        (b"", "not a file of SVHN"),
    ],
)
def test_another_file_than_svhns_is_refused(content, words, tmp_path):
    path = tmp_path / "SVHN" / "train_32x32.mat"
    path.parent.mkdir()
    path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content)
    with pytest.raises(ValueError, match=words) as refused:
        SVHNDataModule(root=str(tmp_path)).read(train=True)
    assert str(path) in str(refused.value)
    with pytest.raises(FileNotFoundError, match=r"test_32x32.mat is absent"):
        SVHNDataModule(root=str(tmp_path)).read(train=False)
    count("inputs refused", 2)


def test_a_truncated_file_of_svhn_is_refused(tmp_path):
    further.write_svhn(tmp_path / "SVHN")
    path = tmp_path / "SVHN" / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="or truncated"):
        SVHNDataModule(root=str(tmp_path)).read(train=True)


@PARTS
@pytest.mark.usefixtures("any_checksum")
def test_cifar100_is_what_torchvision_reads(train, tmp_path):
    further.write_cifar100(tmp_path)
    expected = torchvision.datasets.CIFAR100(tmp_path, train=train)
    module = CIFAR100DataModule(root=str(tmp_path))
    assert_equal(module.read(train), pixels(expected))
    assert module.source == "cifar-100-python"


def test_cifar100_of_other_checksums_is_refused(tmp_path):
    further.write_cifar100(tmp_path)
    with pytest.raises(ValueError, match="cifar-100-python does not hold the files of CIFAR-100"):
        CIFAR100DataModule(root=str(tmp_path)).read(train=True)
    count("inputs refused")


def test_cifar100_is_read_from_class_folders(tmp_path):
    for part, images in {"train": 3, "test": 1}.items():
        for number, name in enumerate(CIFAR100DataModule.class_names):
            for image in range(images):
                path = tmp_path / "cifar100" / part / name / f"{image}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                torchvision.io.write_png(torch.full((3, 32, 32), number + image, dtype=torch.uint8), str(path))
    module = CIFAR100DataModule(root=str(tmp_path), val_size=100)
    module.setup("fit")
    assert module.train_set.inputs[:, 0, 0, 0].tolist() == [n + i for n in range(100) for i in range(3)]
    assert module.file_names("train", torch.tensor([3])) == ["train/aquarium_fish/0.png"]


def test_cifar100_has_a_hundred_classes_and_lookalikes_within_the_superclass():
    names = CIFAR100DataModule.class_names
    assert (len(names), len(set(names)), list(names)) == (100, 100, sorted(names))
    assert [names[label] for label in (0, 1, 50, 99)] == ["apple", "aquarium_fish", "mouse", "worm"]
    flips = CIFAR100DataModule.lookalikes
    assert set(flips) == set(flips.values()) == set(names)
    assert all(any({name, flips[name]} <= set(group) for group in SUPERCLASSES) for name in names)
    matrix = AsymmetricNoise(0.4).transitions(names, flips)
    np.testing.assert_allclose(matrix.sum(axis=0), 1)


@pytest.mark.usefixtures("any_checksum")
def test_cifar100n_is_read_as_human_noise_but_not_its_superclasses(tmp_path):
    further.write_cifar100(tmp_path)
    file = "cifar10n/CIFAR-100_human.pt"
    noise = HumanNoise("noisy_label", file)
    module = CIFAR100DataModule(root=str(tmp_path), val_size=100, label_noise=noise)
    module.setup("fit")
    content = torch.load(tmp_path / file, weights_only=False)
    train = module.split.train
    assert torch.equal(module.targets[train], torch.from_numpy(content["noisy_label"])[train])
    assert torch.equal(module.clean_targets, torch.from_numpy(content["clean_label"]))
    for labels in ("noisy_coarse_label", "clean_coarse_label", "clean_label"):
        with pytest.raises(ValueError, match=f"'{labels}' is not in .*; it has noisy_label"):
            HumanNoise(labels, file).given_labels(tmp_path, module.read_labels())
    count("inputs refused", 3)


@pytest.mark.parametrize(
    ("module", "shape"),
    [(EMNISTDataModule, (1, 28, 28)), (SVHNDataModule, (3, 32, 32)), (KMNISTDataModule, (1, 28, 28))],
)
def test_the_command_trains_on_them(module, shape, tmp_path):
    further.write_emnist(tmp_path)
    further.write_svhn(tmp_path / "SVHN")
    builders.write_mnist(tmp_path, "KMNIST")
    done = litzoo(
        *("fit", f"--data={module.__name__}", f"--data.root={tmp_path}", "--data.val_size=0.5", "--data.batch_size=8"),
        *("--model=MLPClassifier", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"),
    )
    assert done.datamodule.input_shape == shape
    assert done.trainer.global_step == 2
