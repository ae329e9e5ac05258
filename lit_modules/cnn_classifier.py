from collections.abc import Sequence
from typing import Any

from lit_modules.classifier import Classifier
from lit_modules.networks import CNN


class CNNClassifier(Classifier):
    """A plain convolutional network: stages of 3×3 convolutions, each ended by 2×2 max-pooling.

    Args:
        input_shape: `(C, H, W)` of a picture.
        num_classes: How many classes there are.
        widths: Channels of each stage.
        depth: Convolutions in each stage.
        hidden: Widths of linear layers between the last stage and the head.
        batch_norm: Whether each convolution is normalised before its ReLU.
        dropout: Share of each stage's outputs that is dropped in training, element by element.
        hidden_dropout: Share of each hidden linear layer's outputs that is dropped in training.
        average_pool: Whether the last stage's channels are averaged over the picture; else it is laid out flat.
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
