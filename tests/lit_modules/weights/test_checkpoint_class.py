"""A checkpoint that another class is to load names the class to use."""

import warnings

import pytest
import torch

from litzoo.lit_modules import CNNClassifier, MLPClassifier, SoftmaxRegression
from litzoo.lit_modules.base import LitModule
from tests.training import cpu_trainer

SHAPE = (1, 28, 28)


class Mine(MLPClassifier):
    """A user's own class, which loads checkpoints of the class that it extends."""


def saved(module):
    trainer = cpu_trainer()
    trainer.strategy.connect(module)
    trainer.save_checkpoint("saved.ckpt")
    return "saved.ckpt"


@pytest.mark.parametrize("wrong", [CNNClassifier, LitModule])
def test_the_class_to_use_is_named(wrong):
    path = saved(MLPClassifier(SHAPE, 10, hidden=[8]))
    message = rf"saved\.ckpt: holds a MLPClassifier, not a {wrong.__name__}; use MLPClassifier\.load_from_checkpoint"
    with pytest.raises(ValueError, match=message):
        wrong.load_from_checkpoint(path)


def test_another_class_that_can_load_it_warns():
    path = saved(SoftmaxRegression(SHAPE, 10))
    with pytest.warns(UserWarning, match=r"holds a SoftmaxRegression, not a MLPClassifier"):
        MLPClassifier.load_from_checkpoint(path, hidden=[])


@pytest.mark.parametrize("right", [MLPClassifier, Mine])
def test_the_class_itself_and_classes_that_extend_it_load_silently(right):
    module = MLPClassifier(SHAPE, 10, hidden=[8])
    path = saved(module)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = right.load_from_checkpoint(path)
    assert torch.equal(loaded.net.head.weight, module.net.head.weight)


def test_a_wrong_option_of_the_right_class_is_reported_as_such():
    path = saved(MLPClassifier(SHAPE, 10, hidden=[8]))
    with pytest.raises(RuntimeError, match="size mismatch"):
        MLPClassifier.load_from_checkpoint(path, hidden=[9])
