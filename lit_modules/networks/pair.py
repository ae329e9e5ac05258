import copy
from typing import Any

import torch
from torch import Tensor, nn


class Pair(nn.Module):
    """Two networks of the same make, each with weights of its own; together they answer with their mean logits.

    Args:
        first: A network with `features(x)` and `head`; the other one is a copy of it with fresh weights, as torch's
            layers draw them.
    """

    def __init__(self, first: Any) -> None:
        super().__init__()
        self.first, self.second = first, copy.deepcopy(first)
        for module in self.second.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def features(self, x: Tensor) -> Tensor:
        """Returns the features of both, side by side."""
        return torch.cat([self.first.features(x), self.second.features(x)], dim=1)

    def head(self, features: Tensor) -> Tensor:
        """Returns the mean logits of features of both, `[B, K]`."""
        first, second = features.chunk(2, dim=1)
        return (self.first.head(first) + self.second.head(second)) / 2

    def forward(self, x: Tensor) -> Tensor:
        """Returns the mean logits `[B, K]` of inputs `[B, ...]`."""
        return (self.first(x) + self.second(x)) / 2
