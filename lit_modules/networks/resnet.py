from typing import Literal

import torchvision
from torch import Tensor, nn

RESNETS = {
    18: torchvision.models.resnet18,
    34: torchvision.models.resnet34,
    50: torchvision.models.resnet50,
}


class ResNet(nn.Module):
    """torchvision's residual network (He et al. 2016), optionally with a stem for small images.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: Number of outputs.
        depth: 18, 34 or 50.
        stem: `small` is a 3×3 convolution, for images of about 32 pixels; `large` is torchvision's 7×7 convolution and
            pooling, which reduce height and width to a quarter, for about 224.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        depth: Literal[18, 34, 50] = 18,
        stem: Literal["small", "large"] = "small",
    ) -> None:
        super().__init__()
        self.trunk = RESNETS[depth]()
        self.head = nn.Linear(self.trunk.fc.in_features, num_classes)
        self.trunk.fc = nn.Identity()
        channels = input_shape[0]
        if stem == "small":
            self.trunk.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            self.trunk.maxpool = nn.Identity()
        elif channels != 3:
            self.trunk.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)

    def features(self, x: Tensor) -> Tensor:
        """Returns the input of the head, `[B, 512]` (2048 at depth 50), for images `[B, C, H, W]`."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits `[B, num_classes]` for images `[B, C, H, W]`."""
        return self.head(self.features(x))
