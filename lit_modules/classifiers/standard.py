"""Classifiers with the standard networks."""

from collections.abc import Sequence
from typing import Any, Literal

from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.networks import CNN, MLP, ResNet
from litzoo.lit_modules.networks.mlp import Init, flat_size


class SoftmaxRegression(Classifier):
    """Softmax regression: a linear layer and a softmax.

    Args:
        input_shape: Shape of one input, such as `(1, 28, 28)`.
        num_classes: Number of classes.
        init: Initialisation of the weights: torch's `default`, `kaiming`, `xavier`, or `normal` (with standard
            deviation 0.01).
        **options: See `Classifier` and `LitModule`.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, init: Init = "default", **options: Any) -> None:
        super().__init__(MLP(flat_size(input_shape), num_classes, init=init), num_classes, **options)


class MLPClassifier(Classifier):
    """A multi-layer perceptron on the flattened input.

    Args:
        input_shape: Shape of one input, such as `(1, 28, 28)`.
        num_classes: Number of classes.
        hidden: Width of each hidden layer.
        dropout: Dropout rate of each hidden layer.
        batch_norm: Whether each hidden layer has batch norm before its ReLU.
        init: Initialisation of the weights: torch's `default`, `kaiming`, `xavier`, or `normal` (with standard
            deviation 0.01).
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
        net = MLP(flat_size(input_shape), num_classes, hidden, dropout, batch_norm, init)
        super().__init__(net, num_classes, **options)


class CNNClassifier(Classifier):
    """A convolutional network: stages of 3×3 convolutions, each followed by 2×2 max-pooling.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: Number of classes.
        widths: Channels in each stage.
        depth: Convolutions in each stage.
        hidden: Widths of linear layers between the last stage and the head.
        batch_norm: Whether each convolution has batch norm before its ReLU.
        dropout: Dropout rate after each stage, elementwise.
        hidden_dropout: Dropout rate of each hidden linear layer.
        average_pool: Whether the last stage ends with global average pooling; otherwise it is flattened.
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
    """A residual network (He et al. 2016): torchvision's, with random weights.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: Number of classes.
        depth: 18, 34 or 50.
        stem: `small` for images of about 32 pixels, `large` (torchvision's default) for about 224.
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
