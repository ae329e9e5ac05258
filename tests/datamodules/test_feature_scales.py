"""Feature vectors that are not standardised are warned of, and no others."""

import warnings

import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import TensorDataset

from litzoo import Classifier, from_datasets
from litzoo.datamodules.feature_scales import unsuitable_scales
from tests.datamodules.own_datasets import Vectors
from tests.training import cpu_trainer


def far_vectors():
    vectors = Vectors()
    vectors.x = vectors.x * 100 + 5000
    return vectors


def classifier(*first):
    return Classifier(nn.Sequential(*first, nn.Linear(8, 3)), 3)


def test_a_training_on_vectors_far_from_standardised_is_warned_of():
    data = from_datasets(far_vectors(), batch_size=60)
    mean, deviation = data.read(train=True)[0].mean(dim=0), data.read(train=True)[0].std(dim=0, correction=0)
    worst = int(mean.argmax())
    text = rf"feature {worst} has a mean of {mean[worst]:,.4g} and a standard deviation of {deviation[worst]:,.4g}"
    with pytest.warns(UserWarning, match=rf"not standardised: {text}.*BatchNorm1d\(8\)"):
        cpu_trainer().fit(classifier(), data)


@pytest.mark.parametrize("first", [nn.BatchNorm1d(8), nn.LayerNorm(8)])
def test_a_network_that_normalises_first_is_not_warned_of(first):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*not standardised")
        cpu_trainer().fit(classifier(first), from_datasets(far_vectors(), batch_size=60))


def test_standardised_vectors_are_not_warned_of():
    far = far_vectors().x
    standard = torch.tensor(StandardScaler().fit_transform(far), dtype=torch.float32)
    data = from_datasets(TensorDataset(standard, Vectors().y), batch_size=60)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*not standardised")
        cpu_trainer().fit(classifier(), data)


def test_only_a_training_is_warned_of():
    data = from_datasets(far_vectors(), test=Vectors(30, seed=1))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*not standardised")
        data.setup("test")
        data.setup("validate")


@pytest.mark.parametrize(
    ("scale", "shift", "text"),
    [
        ([1, 1, 1], [0, 0, 0], ""),
        ([1, 9, 0.2], [5, -5, 0], ""),
        ([1, 1, 1], [0, -11, 0], "feature 1 has a mean of -1"),
        ([1, 1, 30], [0, 0, 0], "feature 2 has a mean of "),
        ([1, 0.005, 1], [0, 0, 0], "feature 1 has a standard deviation of 0.00"),
    ],
)
def test_what_is_far_from_standardised(scale, shift, text):
    rows = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(scale) + torch.tensor(shift)
    found = unsuitable_scales(rows)
    assert found.startswith(text) if text else not found


def test_flags_and_constant_features_are_no_problem():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(500, 3, generator=generator)
    rows[:, 1], rows[:, 2] = (torch.arange(500) == 7).float() / 100, 3
    assert unsuitable_scales(rows) == ""
    assert unsuitable_scales(rows[:1]) == ""
    assert unsuitable_scales(rows[:, 1:]) == ""
