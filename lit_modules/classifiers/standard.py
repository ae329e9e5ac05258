from collections.abc import Sequence
from typing import Any, Literal

import torch

from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.networks import CNN, MLP, ResNet
from litzoo.lit_modules.networks.mlp import Init


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


class MLPClassifier(Classifier):
    """A multi-layer perceptron on the flattened input.

    Args:
        input_shape: Of one input, such as `(1, 28, 28)`.
        num_classes: How many classes there are.
        hidden: Width of each hidden layer.
        dropout: Fraction of each hidden layer's outputs that is dropped in training.
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


class CNNClassifier(Classifier):
    """A plain convolutional network: stages of 3×3 convolutions, each ended by 2×2 max-pooling.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: How many classes there are.
        widths: Channels of each stage.
        depth: Convolutions in each stage.
        hidden: Widths of linear layers between the last stage and the head.
        batch_norm: Whether each convolution is normalised before its ReLU.
        dropout: Fraction of each stage's outputs that is dropped in training, element by element.
        hidden_dropout: Fraction of each hidden linear layer's outputs that is dropped in training.
        average_pool: Whether the last stage's channels are averaged over the image; else it is laid out flat.
        **options: See `Classifier` and `LitModule`.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int] = (32, 64),
        depth: int = 1,
        hidden: Sequence[int] = (),
        batch_norm: bool = True,
        dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        average_pool: bool = False,
        **options: Any,
    ) -> None:
        net = CNN(input_shape, num_classes, widths, depth, hidden, batch_norm, dropout, hidden_dropout, average_pool)
        super().__init__(net, num_classes, **options)


class ResNetClassifier(Classifier):
    """A residual network (He et al. 2016), torchvision's, untrained.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: How many classes there are.
        depth: 18, 34 or 50.
        stem: `small` for images of about 32 pixels, `large` (torchvision's own) for about 224.
        **options: See `Classifier` and `LitModule`.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        depth: Literal[18, 34, 50] = 18,
        stem: Literal["small", "large"] = "small",
        **options: Any,
    ) -> None:
        super().__init__(ResNet(input_shape, num_classes, depth, stem), num_classes, **options)
