from collections.abc import Sequence
from math import prod
from typing import Literal

from torch import Tensor, nn

INITS = {
    "default": None,
    "kaiming": nn.init.kaiming_normal_,
    "xavier": nn.init.xavier_uniform_,
    "normal": lambda weight: nn.init.normal_(weight, std=0.01),
}
Init = Literal["default", "kaiming", "xavier", "normal"]


def flat_size(input_shape: Sequence[int]) -> int:
    """Returns the number of values in an input.

    Raises:
        TypeError: If the shape is no sequence.
    """
    if not isinstance(input_shape, Sequence):
        raise TypeError(f"input_shape: {input_shape!r} is not a shape; give a sequence, such as (1, 28, 28) or (784,)")
    return prod(input_shape)


class MLP(nn.Module):
    """A multi-layer perceptron on the flattened input, with ReLU between its linear layers.

    Args:
        in_features: Size of a flattened input.
        out_features: Number of outputs.
        hidden: Width of each hidden layer; none for a linear model.
        dropout: Dropout rate of each hidden layer.
        batch_norm: Whether each hidden layer has batch norm before its ReLU.
        init: Initialisation of the weights: torch's `default`, `kaiming` (He et al. 2015), `xavier` (Glorot & Bengio
            2010), or `normal` with standard deviation 0.01. All but the first initialize biases to 0.

    Raises:
        TypeError: If the widths are no list.
        ValueError: If a width is below 1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        batch_norm: bool = False,
        init: Init = "default",
    ) -> None:
        super().__init__()
        if not isinstance(hidden, Sequence) or isinstance(hidden, str):
            raise TypeError(
                f"hidden: {hidden!r} is not a list; give the width of each hidden layer, such as [256, 128]"
            )
        if any(size < 1 for size in hidden):
            raise ValueError(f"hidden: {list(hidden)}; a layer needs a width of at least 1")
        layers: list[nn.Module] = [nn.Flatten()]
        width = in_features
        for next_width in hidden:
            layers.append(nn.Linear(width, next_width, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm1d(next_width))
            layers.append(nn.ReLU(inplace=True))
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = next_width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(width, out_features)
        if (start := INITS[init]) is not None:
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    start(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the head, `[B, hidden[-1]]`, for inputs `[B, ...]`."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        """Returns outputs `[B, out_features]` for inputs `[B, ...]`."""
        return self.head(self.features(x))
