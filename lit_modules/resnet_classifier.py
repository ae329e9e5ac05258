from typing import Any, Literal

from lit_modules.classifier import Classifier
from lit_modules.networks import ResNet


class ResNetClassifier(Classifier):
    """A residual network (He et al. 2016), torchvision's, untrained.

    Args:
        input_shape: `(C, H, W)` of a picture.
        num_classes: How many classes there are.
        depth: 18, 34 or 50.
        stem: `small` for pictures of about 32 pixels, `large` (torchvision's own) for about 224.
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
