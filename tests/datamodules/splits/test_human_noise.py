import numpy as np
import pytest
import torch

from litzoo.datamodules import CIFAR10DataModule, HumanNoise
from tests.counted import count
from tests.data import builders
from tests.malice import RAN, RunsCode

FILE = "cifar10n/CIFAR-10_human.pt"


def write(path, clean, **labels):
    """Writes a file like CIFAR-10N's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"clean_label": clean, **labels}, path)
    return path


@pytest.fixture
def root(tmp_path):
    """Sixty images in class folders, and their human labels in the order that they once had."""
    builders.write_image_folder(tmp_path / "cifar10", train=60, test=20)
    random = np.random.RandomState(0)
    clean = random.permutation(np.arange(60) % 10)
    worse = np.where(random.random_sample(60) < 0.4, random.randint(0, 10, 60), clean)
    write(tmp_path / FILE, clean, worse_label=worse, aggre_label=clean)
    np.savez(tmp_path / "labels.npz", clean_label=clean, worse_label=worse)
    return tmp_path


def content(root):
    """Returns the arrays in the file."""
    return np.load(root / "labels.npz")


def test_each_image_gets_the_label_of_its_number_within_its_class(root):
    datamodule = CIFAR10DataModule(root=str(root), val_size=10, label_noise=HumanNoise())
    datamodule.setup("fit")
    file, labels = content(root), datamodule.read_labels()
    for label in range(10):
        given = datamodule.label_noise.given_labels(root, labels)[labels == label]
        assert given.tolist() == file["worse_label"][file["clean_label"] == label].tolist()
    train, val = datamodule.split.train, datamodule.split.val
    given = datamodule.label_noise.given_labels(root, labels)
    assert torch.equal(datamodule.targets[train], given[train])
    assert torch.equal(datamodule.targets[val], labels[val])
    assert torch.equal(datamodule.clean_targets, labels)
    wrong = (given[train] != labels[train]).double().mean().item()
    assert datamodule.split_report()["label_noise"] == {"train": pytest.approx(wrong)}
    assert wrong > 0.2


def test_in_the_original_order_the_labels_are_the_files(root):
    file = content(root)
    given = HumanNoise().given_labels(root, torch.from_numpy(file["clean_label"]))
    assert given.tolist() == file["worse_label"].tolist()


def test_validation_has_human_labels_too_if_asked(root):
    datamodule = CIFAR10DataModule(root=str(root), val_size=10, label_noise=HumanNoise(), noisy_val=True)
    datamodule.setup("fit")
    given = datamodule.label_noise.given_labels(root, datamodule.read_labels())
    assert torch.equal(datamodule.targets, given)
    assert set(datamodule.split_report()["label_noise"]) == {"train", "val"}


def test_classes_in_another_order_have_the_same_labels(root):
    names = list(CIFAR10DataModule.class_names)[::-1]
    datamodule = CIFAR10DataModule(root=str(root), val_size=10, label_noise=HumanNoise(), known_classes=names)
    datamodule.setup("fit")
    given = datamodule.label_noise.given_labels(root, datamodule.read_labels())
    assert torch.equal(9 - datamodule.targets[datamodule.split.train], given[datamodule.split.train])


def test_labels_of_unknown_classes_are_refused(root):
    names = list(CIFAR10DataModule.class_names)[:5]
    datamodule = CIFAR10DataModule(root=str(root), val_size=5, label_noise=HumanNoise(), known_classes=names)
    with pytest.raises(ValueError, match=r"HumanNoise labels \d+ training samples with a class that is not in"):
        datamodule.setup("fit")


def test_the_split_is_that_of_clean_labels(root):
    parts = []
    for noise in (None, HumanNoise(), HumanNoise("aggre_label")):
        datamodule = CIFAR10DataModule(root=str(root), val_size=10, label_noise=noise)
        datamodule.setup("fit")
        parts.append(datamodule.split.train.tolist())
    assert parts[0] == parts[1] == parts[2]
    assert datamodule.split_options()["label_noise"] == f"HumanNoise(labels=aggre_label, file={FILE})"


@pytest.mark.parametrize("labels", ["clean_label", "worst_label"])
def test_labels_that_are_not_there_are_refused(root, labels):
    with pytest.raises(ValueError, match=f"'{labels}' is not in .*; it has aggre_label, worse_label"):
        HumanNoise(labels).given_labels(root, torch.arange(60) % 10)


@pytest.mark.parametrize("true", [torch.arange(50) % 10, torch.arange(60) % 9, torch.arange(60) % 12])
def test_a_file_of_other_images_is_refused(root, true):
    with pytest.raises(ValueError, match=r"has labels of 60 images, .* but the training set has"):
        HumanNoise().given_labels(root, true)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"clean_label": np.arange(5.0)}, "other than int64 arrays; it was not loaded"),
        ({"clean_label": [1, 2]}, "not a dictionary of int64 arrays"),
        ({"worse_label": np.arange(5)}, "has no clean_label, but worse_label"),
        ([np.arange(5)], "not a dictionary of int64 arrays"),
        ({"clean_label": np.array([1, "b"], object)}, "int64 arrays"),
    ],
)
def test_another_content_is_refused(tmp_path, labels, message):
    torch.save(labels, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=message):
        HumanNoise(file="other.pt").given_labels(tmp_path, torch.arange(5))


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"clean_label": RunsCode()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="other than int64 arrays; it was not loaded"):
        HumanNoise(file="evil.pt").given_labels(tmp_path, torch.arange(5))
    assert not RAN.exists()
    count("inputs refused")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"CIFAR-10_human.pt is absent; put CIFAR-10N's"):
        HumanNoise().given_labels(tmp_path, torch.arange(5))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("labels", "wrong"), [("worse_label", 0.4021), ("aggre_label", 0.0901), ("random_label1", 0.1723)]
)
def test_the_original_file_has_the_published_rates(real_data, labels, wrong):
    order = torch.from_numpy(np.load(real_data / "cifar10n" / "train_order.npy")).long()
    for true in (order, order.sort().values):
        given = HumanNoise(labels).given_labels(real_data, true)
        assert (given != true).double().mean().item() == pytest.approx(wrong, abs=1e-3)
