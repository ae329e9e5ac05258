import copy
from typing import Any

import torch
from torch import Tensor, nn


class Pair(nn.Module):
    """Two networks of the same architecture with different weights; the output is their mean logits.

    Args:
        first: A network with `features(x)` and `head`. The second one is a copy whose weights are initialised again, by
            `reset_parameters` of its layers.
    """

    def __init__(self, first: Any) -> None:
        super().__init__()
        self.first, self.second = first, copy.deepcopy(first)
        for module in self.second.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def features(self, x: Tensor) -> Tensor:
        """Returns the concatenated features of both."""
        return torch.cat([self.first.features(x), self.second.features(x)], dim=1)

    def head(self, features: Tensor) -> Tensor:
        """Returns the mean logits `[B, K]` for concatenated features."""
        first, second = features.chunk(2, dim=1)
        return (self.first.head(first) + self.second.head(second)) / 2

    def forward(self, x: Tensor) -> Tensor:
        """Returns the mean logits `[B, K]` for inputs `[B, ...]`."""
        return (self.first(x) + self.second(x)) / 2
