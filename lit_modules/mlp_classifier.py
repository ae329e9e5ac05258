from collections.abc import Sequence
from typing import Any

import torch

from lit_modules.classifier import Classifier
from lit_modules.networks import MLP
from lit_modules.networks.mlp import Init


class MLPClassifier(Classifier):
    """A multi-layer perceptron on the flattened input.

    Args:
        input_shape: Of one input, such as `(1, 28, 28)`.
        num_classes: How many classes there are.
        hidden: Width of each hidden layer.
        dropout: Share of each hidden layer's outputs that is dropped in training.
        batch_norm: Whether each hidden layer is normalised before its ReLU.
        init: How weights start: torch's own way, `kaiming`, `xavier`, or `normal` (standard deviation 0.01).
        **options: See `Classifier` and `LitModule`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        hidden: Sequence[int] = (512, 256),
        dropout: float = 0.0,
        batch_norm: bool = False,
        init: Init = "default",
        **options: Any,
    ) -> None:
        net = MLP(torch.Size(input_shape).numel(), num_classes, hidden, dropout, batch_norm, init)
        super().__init__(net, num_classes, **options)
