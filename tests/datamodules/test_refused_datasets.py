"""Data sets of one's own that cannot be used are refused, and what may mislead is warned of."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch.utils.data import IterableDataset, Subset
from torchvision.transforms import v2

from litzoo.datamodules import from_datasets
from tests.counted import count
from tests.datamodules.own_datasets import TO_FLOAT, Vectors, pixels


class Endless(IterableDataset):
    """Has no index."""

    def __iter__(self):
        yield torch.zeros(3), 0


class Breaks(Vectors):
    """Cannot be read to its end."""

    def __getitem__(self, index):
        if index == 100:
            raise OSError("disk gone")
        return super().__getitem__(index)


def labeled(*labels):
    return [(torch.zeros(3) + number, label) for number, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"train": Endless()}, "train: Endless is an IterableDataset"),
        ({"train": 3}, "train: int is no map-style data set"),
        ({"train": []}, "train: the data set is empty"),
        ({"train": Vectors(), "test": []}, "test: the data set is empty"),
        ({"train": Breaks()}, r"train\[100\] cannot be read, of 120 samples \(OSError: disk gone\)"),
        ({"train": labeled(0, 1, 2.0)}, r"train\[2\] has the label 2.0 of type float; labels are integers"),
        ({"train": labeled(0, 1, "cat")}, r"train\[2\] has the label 'cat' of type str"),
        ({"train": labeled(0, torch.tensor([0, 1]))}, "may be one-hot: give their positions"),
        ({"train": labeled(0, -1)}, r"train\[1\] has the label -1; labels begin at 0"),
        ({"train": labeled(0, 2)}, "train has no sample of 1: labels are 0 to"),
        ({"train": labeled(0, 0)}, "needs at least two classes"),
        ({"train": Vectors(), "test": labeled(0, 1)}, r"test has inputs of \[3\], but train of \[8\]"),
        (
            {"train": [(torch.zeros(3), 0), (torch.zeros(4), 1)]},
            r"train\[1\] has the shape \[4\], but train",
        ),
        ({"train": [(torch.zeros(3), 0), (torch.tensor([1, 2, np.nan]), 1)]}, r"train\[1\] has values that are not"),
        ({"train": [(torch.zeros(3), 0, 1)]}, r"train\[0\] is a tuple of 3; samples are \(input, label\) pairs"),
        ({"train": [{"image": 1, "x": 2, "label": 0}]}, r"2 entries that may be the input \(image, x\)"),
        ({"train": [{"photo": 1, "label": 0}]}, r"has no input, of photo, label; name input and label"),
        ({"train": labeled(0, 1), "keys": (0, 5)}, r"train\[0\] has no 0 and 5"),
        ({"train": labeled(0, 1), "test": labeled(0, 2)}, "test has the label 2, but train only 0 to 1"),
        ({"train": labeled(0, 1), "class_names": ["a"]}, r"class_names: \['a'\] are not 2 different names"),
        ({"train": [(pixels()[0], 0), (pixels(side=7)[0], 1)]}, "with torchvision's Resize or CenterCrop"),
        ({"train": [(torch.full((3, 4, 4), 2.0), 0)], "images": True}, "leave Normalize out"),
        ({"train": [("a text", 0)]}, "is a str; an input is an image, or an array of numbers"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, words):
    with pytest.raises((ValueError, TypeError), match=words):
        from_datasets(**arguments)
    count("inputs refused")


def test_the_same_data_set_twice_is_refused_and_copies_are_counted():
    vectors = Vectors()
    with pytest.raises(ValueError, match="train and test are the same data set"):
        from_datasets(vectors, test=vectors)
    with pytest.warns(UserWarning, match="20 of 20 samples of test are copies of training samples"):
        from_datasets(vectors, test=Subset(vectors, range(20)))


def test_copies_that_corrections_drop_are_not_counted():
    vectors = Vectors()
    rows = [f"{position},test,drop" for position in range(15)] + [f"{position},train,drop" for position in (15, 16)]
    Path("dropped.csv").write_text("\n".join(["index,part,action", *rows]))
    with pytest.warns(UserWarning, match="3 of 5 samples of test are copies of training samples"):
        from_datasets(vectors, test=Subset(vectors, range(20)), corrections="dropped.csv", root=".")


def test_random_transforms_are_warned_of(tiny_data):
    mnist = torchvision.datasets.MNIST(tiny_data, transform=v2.Compose([TO_FLOAT, v2.RandomAffine(45)]))
    with pytest.warns(UserWarning, match="train returns another input when a sample is read again"):
        from_datasets(mnist)


def test_normalised_images_are_taken_as_they_are_with_a_warning(tiny_data):
    mnist = torchvision.datasets.MNIST(tiny_data, transform=v2.Compose([TO_FLOAT, v2.Normalize([0.1], [0.3])]))
    with pytest.warns(UserWarning, match="taken as they are, without normalisation and augmentation"):
        module = from_datasets(mnist)
    assert torch.equal(module.read(train=True)[0][5], mnist[5][0])
