"""In Python, arguments of the wrong type are refused with what is accepted; on the command line the parser does."""

import numpy as np
import pytest

from litzoo.datamodules import DigitsDataModule, LongTailed, SymmetricNoise
from tests.counted import count


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"label_noise": 0.2}, [r"data.label_noise: 0.2", "SymmetricNoise(0.2)", "HumanNoise"]),
        ({"label_noise": "symmetric"}, ["'symmetric'", "SymmetricNoise(0.2)"]),
        ({"label_noise": SymmetricNoise}, ["the class SymmetricNoise", "SymmetricNoise(0.2)"]),
        ({"imbalance": 10}, ["data.imbalance: 10", "LongTailed(100)"]),
        ({"known_classes": 3}, ["data.known_classes: 3", "[0, 1, 2]"]),
        ({"known_classes": "0"}, ["data.known_classes: '0'", "[0, 1, 2]"]),
        ({"augment": 3}, ["data.augment: 3", "crop_flip"]),
    ],
)
def test_a_wrong_type_is_refused_with_what_is_accepted(arguments, words):
    with pytest.raises(TypeError) as refused:
        DigitsDataModule(**arguments)
    assert [word for word in words if word not in str(refused.value)] == []
    count("inputs refused")


def test_a_rate_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match=r"SymmetricNoise.rate: '0.2' is not a number; give a fraction"):
        SymmetricNoise("0.2")


def test_numbers_of_numpy_are_numbers():
    data = DigitsDataModule(train_size=100, label_noise=SymmetricNoise(np.float32(0.25)), known_classes=range(5))
    data.find_split()
    assert len(data.split.train) == 100
    DigitsDataModule(imbalance=LongTailed(10), train_size={"per_class": 20})
