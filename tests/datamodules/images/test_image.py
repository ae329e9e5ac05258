import json
from collections import Counter

import pytest
import torch

from litzoo.datamodules import CIFAR10DataModule, DigitsDataModule, FashionMNISTDataModule, MNISTDataModule
from tests.datamodules.recording import record
from tests.datamodules.transforms.test_augment import found_shift

ALL = pytest.mark.parametrize(
    "datamodule", [MNISTDataModule, FashionMNISTDataModule, CIFAR10DataModule, DigitsDataModule]
)


def by_hand(datamodule, images, scale="standard"):
    """(x / 255 - mean) / std, channel by channel, in double precision."""
    scaled = images.double() / 255
    if scale == "standard":
        for channel, (mean, std) in enumerate(zip(datamodule.mean, datamodule.std, strict=True)):
            scaled[:, channel] = (scaled[:, channel] - mean) / std
    return scaled.float()


@ALL
@pytest.mark.parametrize("scale", ["standard", "unit"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_normalise_is_the_formula_and_keeps_its_input(datamodule, scale, dtype):
    images = torch.randint(0, 256, (4, *datamodule.input_shape), dtype=torch.uint8).to(dtype)
    original = images.clone()
    result = datamodule(scale=scale).normalise(images)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, by_hand(datamodule, original, scale), atol=1e-5, rtol=1e-5)
    assert torch.equal(images, original)


@pytest.mark.parametrize("augment", ["none", "shift", "crop_flip", "affine"])
def test_only_training_images_are_augmented(augment, tiny_data):
    datamodule = MNISTDataModule(root=str(tiny_data), augment=augment, val_size=20, batch_size=16)
    for stage, name in [
        ("fit", "train"),
        ("fit", "val"),
        ("validate", "val"),
        ("test", "test"),
        ("predict", "predict"),
    ]:
        recorder = record(datamodule, stage)
        part = datamodule.test_set if stage in ("test", "predict") else datamodule.train_set
        index = recorder.column(name, "index")
        untouched = datamodule.normalise(part.inputs[index])
        assert torch.equal(recorder.column(name, "target"), part.targets[index])
        same = [torch.equal(*pair) for pair in zip(recorder.column(name, "input"), untouched, strict=True)]
        assert len(same) == {"train": 80, "val": 20}.get(name, 40)
        assert all(same) if name != "train" or augment == "none" else sum(same) < 20


def test_training_images_are_augmented_before_they_are_normalised(tiny_data):
    datamodule = MNISTDataModule(root=str(tiny_data), augment="shift", val_size=90, batch_size=5)
    recorder = record(datamodule)
    # Black fill comes before normalisation: undone, every image is a shifted one with pixels that are 0.
    images = (recorder.column("train", "input") * 0.3081 + 0.1307).mul(255).round().to(torch.uint8)
    originals = datamodule.train_set.inputs[recorder.column("train", "index")]
    assert None not in [found_shift(*pair, reach=2) for pair in zip(originals, images, strict=True)]


def test_the_data_in_memory_stay_as_they_were(tiny_data):
    datamodule = MNISTDataModule(root=str(tiny_data), augment="shift", batch_size=8)
    record(datamodule, epochs=2)
    images, targets = datamodule.read(train=True)
    assert torch.equal(datamodule.train_set.inputs, images)
    assert torch.equal(datamodule.train_set.targets, targets)


@ALL
def test_shape_classes_and_statistics_fit_together(datamodule, tiny_data, any_checksum):
    module = datamodule(root=str(tiny_data))
    images, targets = module.read(train=True)
    assert tuple(images.shape[1:]) == module.input_shape
    assert module.num_classes == len(set(module.class_names)) == 10
    assert sorted(set(targets.tolist())) == list(range(10))
    assert len(module.mean) == len(module.std) == module.input_shape[0]


def test_split_report_counts_what_is_there(tiny_data):
    datamodule = MNISTDataModule(root=str(tiny_data), train_size=30, val_size=0.2, seed=4)
    datamodule.setup("fit")
    report = json.loads(json.dumps(datamodule.split_report()))
    assert (report["seed"], report["sizes"]) == (4, {"train": 30, "val": 20})
    assert report["class_names"] == [str(digit) for digit in range(10)]
    targets = datamodule.read(train=True)[1]
    for part in ("train", "val"):
        indices = getattr(datamodule.split, part)
        counts = Counter(targets[indices].tolist())
        assert report["per_class"][part] == [counts[label] for label in range(10)]


def test_test_images_are_those_of_the_file(tiny_data):
    datamodule = MNISTDataModule(root=str(tiny_data))
    datamodule.setup("test")
    wanted = torch.tensor([7, 0, 39])
    assert torch.equal(datamodule.test_images(wanted), datamodule.read(train=False)[0][wanted])


@pytest.mark.parametrize(("option", "value"), [("augment", "rotate"), ("scale", "minmax")])
def test_an_unknown_choice_is_refused_by_name(option, value):
    with pytest.raises((ValueError, KeyError), match=value):
        MNISTDataModule(**{option: value})
