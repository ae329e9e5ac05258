from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from litzoo.lit_modules.networks._mask_rcnn_evaluation import detect_and_score
from litzoo.lit_modules.networks._mask_rcnn_parts import SIZES, Backbone, feature_pyramid

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet, as pretrained backbones expect


class MaskRCNN(detection.MaskRCNN):
    """torchvision's Mask R-CNN (He et al. 2017) with its pretrained backbone, or a small one that trains on a CPU.

    `resnet50_fpn` has the state dict of torchvision's `maskrcnn_resnet50_fpn`. `light` has the first three stages of a
    ResNet-18, with group normalisation, since batches are small, and heads of 64 channels.

    It has no `features` and `head` like a classifier: the heads work on boxes that the network proposes. Boxes are
    float32 in mixed precision too.

    Args:
        num_classes: Number of object classes, plus one for the background.
        backbone: `resnet50_fpn` or `light`.
        min_size: Length in pixels that the shorter side of an image is resized to; 0 disables resizing. By default 800,
            for `light` 0.
        max_size: Maximum length of the longer side after resizing.
        anchor_sizes: Side of the square anchors at each level of the feature pyramid (1/4, 1/8, ... of the image's
            size), in pixels after resizing: five, for `light` four.
        proposals: Proposals per image in training; by default 2,000, for `light` 300.
        min_score: Minimum score of a detection.
        max_detections: Maximum number of detections in an image.
        frozen_norm: Whether batch norm keeps its statistics and weights, as is usual with pretrained weights.
        trainable_stages: Number of ResNet stages that are trained, counted from the last; all by default.

    Raises:
        ValueError: If an option is invalid.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Backbone = "light",
        min_size: int | None = None,
        max_size: int = 1333,
        anchor_sizes: Sequence[int] | None = None,
        proposals: int | None = None,
        min_score: float = 0.05,
        max_detections: int = 100,
        frozen_norm: bool = False,
        trainable_stages: int | None = None,
    ) -> None:
        if backbone not in SIZES:
            raise ValueError(f"backbone: {backbone!r} is none of {', '.join(SIZES)}")
        size = SIZES[backbone]
        sides = tuple(anchor_sizes or size.anchor_sizes)
        if len(sides) != len(size.anchor_sizes) or min(sides) < 1:
            raise ValueError(
                f"anchor_sizes: {list(sides)}; {backbone} needs one of at least 1 pixel for each of the "
                f"{len(size.anchor_sizes)} levels of its pyramid, such as {list(size.anchor_sizes)}"
            )
        shortest = size.min_size if min_size is None else min_size
        for name, value, least in [
            ("min_size", shortest, 0),
            ("max_size", max_size, 1),
            ("max_detections", max_detections, 1),
        ]:
            if value < least:
                raise ValueError(f"{name}: {value} is too small; give at least {least}")
        if proposals is not None and proposals < 1:
            raise ValueError(f"proposals: {proposals} is too small; give at least 1")
        trained, tested = size.proposals if proposals is None else (proposals, min(proposals, size.proposals[1]))
        maps = [str(level) for level in range(size.stages)]
        mask_channels = [size.channels] * 4
        super().__init__(
            feature_pyramid(backbone, size, trainable_stages),
            min_size=shortest,
            image_mean=MEAN,
            image_std=STD,
            max_size=max_size,
            rpn_anchor_generator=AnchorGenerator(tuple((side,) for side in sides), ((0.5, 1.0, 2.0),) * len(sides)),
            rpn_pre_nms_top_n_train=trained,
            rpn_pre_nms_top_n_test=tested,
            rpn_post_nms_top_n_train=trained,
            rpn_post_nms_top_n_test=tested,
            rpn_batch_size_per_image=size.anchors_sampled,
            box_roi_pool=MultiScaleRoIAlign(maps, 7, 2),
            box_head=TwoMLPHead(size.channels * 7**2, size.hidden),
            box_predictor=FastRCNNPredictor(size.hidden, num_classes),
            box_score_thresh=min_score,
            box_detections_per_img=max_detections,
            box_batch_size_per_image=size.boxes_sampled,
            mask_roi_pool=MultiScaleRoIAlign(maps, 14, 2),
            mask_head=MaskRCNNHeads(size.channels, mask_channels, 1),
            mask_predictor=MaskRCNNPredictor(size.channels, size.channels, num_classes),
        )
        for part in (self.backbone, self.rpn.head, self.roi_heads.box_predictor, self.roi_heads.mask_predictor):
            part.register_forward_hook(_in_float32)
        if not shortest:
            self.transform = _WithoutResizing(1, max_size, MEAN, STD)
        self.frozen_norm = frozen_norm
        for layer in self._norms():
            for weight in layer.parameters():
                weight.requires_grad_(weight.requires_grad and not frozen_norm)
        self.train()  # applies `frozen_norm`; a trainer does not change the modes it finds

    def train(self, mode: bool = True) -> "MaskRCNN":
        """Sets training or evaluation mode, except of frozen batch norm."""
        super().train(mode)
        for layer in self._norms():
            layer.train(mode and not self.frozen_norm)
        return self

    def detect_and_score(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Detects the objects in images in evaluation mode, and computes the training losses of each image too.

        Images of the same size are processed together, on a CPU one by one, which is faster there. Padding to the size
        of another image would change the detections. The losses use randomly sampled boxes; the seed is fixed for each
        image, and the state of the global generators is restored.

        Args:
            images: float32 `[3, H, W]` each, from 0 to 1.
            targets: The objects in each, `DetectionTarget`s; without them no losses are computed.

        Returns:
            For each image the losses; and the detections, `boxes` `[n, 4]`, `labels`, `scores` `[n]` and `masks`, bool
            `[n, H, W]`, in descending order of their scores.
        """
        return detect_and_score(self, images, targets)

    def _norms(self) -> Iterator[nn.Module]:
        return (layer for layer in self.modules() if isinstance(layer, nn.BatchNorm2d))


def _in_float32(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Forward hook that converts the output of a layer to float32, which torchvision then uses for the boxes.

    bfloat16 has 8 significant bits: an edge at 300 pixels would be off by up to one pixel, and small boxes be empty.
    """
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, dict):
        return {name: _in_float32(module, inputs, each) for name, each in output.items()}
    return type(output)(_in_float32(module, inputs, each) for each in output)


class _WithoutResizing(GeneralizedRCNNTransform):
    """Normalises and batches images without resizing them."""

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        return image, target
