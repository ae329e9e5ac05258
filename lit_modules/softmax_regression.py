from collections.abc import Sequence
from typing import Any

import torch

from lit_modules.classifier import Classifier
from lit_modules.networks import MLP
from lit_modules.networks.mlp import Init


class SoftmaxRegression(Classifier):
    """One linear layer and a softmax: the simplest classifier there is.

    Args:
        input_shape: Of one input, such as `(1, 28, 28)`.
        num_classes: How many classes there are.
        init: How weights start: torch's own way, `kaiming`, `xavier`, or `normal` (standard deviation 0.01).
        **options: See `Classifier` and `LitModule`.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, init: Init = "default", **options: Any) -> None:
        super().__init__(MLP(torch.Size(input_shape).numel(), num_classes, init=init), num_classes, **options)
