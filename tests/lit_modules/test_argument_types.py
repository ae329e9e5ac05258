"""Arguments of the wrong type are refused with what is accepted."""

import functools

import pytest
import torch
from torch import nn

from litzoo.lit_modules import CNNClassifier, MLPClassifier, Regressor

mlp = functools.partial(MLPClassifier, (1, 28, 28), 10)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mlp(loss="focal"), ["loss: 'focal'", "FocalLoss()"]),
        (lambda: mlp(loss=nn.NLLLoss), ["loss: ", "give an object, NLLLoss()"]),
        (lambda: mlp(loss=nn.functional.cross_entropy), ["loss: ", "torch.nn.CrossEntropyLoss()"]),
        (lambda: mlp(optimizer="Adam"), ["optimizer: 'Adam'", "torch.optim.AdamW"]),
        (
            lambda: mlp(optimizer=torch.optim.Adam(nn.Linear(1, 1).parameters())),
            ["optimizer: a Adam", "give the class"],
        ),
        (lambda: mlp(scheduler="cosine"), ["scheduler: 'cosine'", "CosineWithWarmup"]),
        (lambda: mlp(hidden=16), ["hidden: 16", "[256, 128]"]),
        (lambda: MLPClassifier(784, 10), ["input_shape: 784", "(784,)"]),
        (lambda: Regressor(3), ["input_shape: 3"]),
        (lambda: CNNClassifier((1, 28, 28), 10, widths=32), ["widths: 32", "[32, 64]"]),
    ],
)
def test_a_wrong_type_is_refused_with_what_is_accepted(make, words):
    with pytest.raises(TypeError) as refused:
        make()
    assert [word for word in words if word not in str(refused.value)] == []
