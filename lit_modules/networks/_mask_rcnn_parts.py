"""Backbones of Mask R-CNN and the sizes of the parts built on each."""

from typing import Literal, NamedTuple

from torch import nn
from torchvision.models import resnet18, resnet50
from torchvision.models.detection.backbone_utils import BackboneWithFPN

Backbone = Literal["resnet50_fpn", "light"]
STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")


class DetectorSize(NamedTuple):
    """Sizes of the parts of a Mask R-CNN with a backbone.

    Attributes:
        stages: Stages of the ResNet that are used, from `layer1` on.
        channels: Channels of the feature pyramid and of the mask head.
        hidden: Units in each of the two layers of the box head.
        anchor_sizes: Side of the anchors at each level of the pyramid, the coarsest last, in pixels.
        min_size: Length that the shorter side of an image is resized to; 0 disables resizing.
        proposals: Proposals per image, in training and in evaluation.
        anchors_sampled: Anchors per image that the loss of the region proposal network samples.
        boxes_sampled: Proposals per image that the losses of the heads sample.
    """

    stages: int
    channels: int
    hidden: int
    anchor_sizes: tuple[int, ...]
    min_size: int
    proposals: tuple[int, int]
    anchors_sampled: int
    boxes_sampled: int


SIZES: dict[str, DetectorSize] = {
    "resnet50_fpn": DetectorSize(4, 256, 1024, (32, 64, 128, 256, 512), 800, (2000, 1000), 256, 512),
    "light": DetectorSize(3, 64, 256, (12, 24, 48, 96), 0, (300, 200), 128, 64),
}


def feature_pyramid(backbone: Backbone, size: DetectorSize, trainable: int | None) -> BackboneWithFPN:
    """Creates a ResNet with a feature pyramid and random weights.

    Args:
        backbone: Name of the backbone.
        size: Sizes of its parts.
        trainable: Number of stages that are trained, counted from the last; `None` for all.

    Raises:
        ValueError: If there are fewer stages.
    """
    trunk = resnet50() if backbone == "resnet50_fpn" else resnet18(norm_layer=_group_norm)
    stages = STAGES[: size.stages + 1]
    if not 0 <= (trainable := len(stages) if trainable is None else trainable) <= len(stages):
        raise ValueError(f"trainable_stages: {trainable}; {backbone} has {len(stages)}, give 0 to {len(stages)}")
    trained = stages[len(stages) - trainable :]
    for name, weight in trunk.named_parameters():
        stage = name.split(".")[0].replace("bn1", "conv1")
        weight.requires_grad_(stage in trained)
    widths = [64 * 2**level * (4 if backbone == "resnet50_fpn" else 1) for level in range(size.stages)]
    maps = {f"layer{n + 1}": str(n) for n in range(size.stages)}
    return BackboneWithFPN(trunk, maps, widths, size.channels)


def _group_norm(channels: int) -> nn.Module:
    """Creates group normalisation (Wu & He 2018), which does not depend on the batch size."""
    return nn.GroupNorm(min(32, channels // 8), channels)
