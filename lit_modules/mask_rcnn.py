import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from litzoo.lit_modules.base import LitModule, Stage
from litzoo.lit_modules.metrics import DetectionMetrics
from litzoo.lit_modules.networks import MaskRCNN
from litzoo.lit_modules.networks._mask_rcnn_parts import Backbone
from litzoo.lit_modules.weights.pretrained import (
    DETECTION_WEIGHTS,
    PretrainedWeights,
    load_detection_weights,
    require_detection_weights,
)

LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")


class MaskRCNNSegmenter(PretrainedWeights, LitModule):
    """Instance segmentation: detects boxes, classes and masks of objects (Mask R-CNN, He et al. 2017).

    The objective is the sum of torchvision's five losses. Validation and test report it too, with the same random
    sample of boxes in every epoch, and the mean average precision of boxes (`map`, `map_50`) and masks (`mask_map`,
    `mask_map_50`).

    Args:
        num_classes: Number of object classes, without the background.
        class_names: Their names, saved in checkpoints; `0`, `1`, ... by default.
        backbone: `resnet50_fpn`, or `light`, which trains on a CPU.
        weights: Pretrained weights: `COCO_V1` (torchvision's, for `resnet50_fpn`), or a file with the weights of such a
            network, also a litzoo checkpoint; random by default. Layers with an output for each class are always
            new. With weights, batch norm keeps its statistics.
        trainable_stages: Number of ResNet stages that are trained, counted from the last; by default 3 for
            `resnet50_fpn` with `weights`, else all.
        min_size: Length in pixels that the shorter side of an image is resized to; 0 disables resizing. By default 800,
            for `light` 0.
        max_size: Maximum length of the longer side after resizing.
        anchor_sizes: Side of the anchors at each level of the feature pyramid, in pixels after resizing: five, for
            `light` four, about as large as the objects.
        proposals: Proposals per image in training; by default 2,000, for `light` 300.
        min_score: Minimum score of a detection.
        **options: See `LitModule`.

    Raises:
        FileNotFoundError: If the weights file does not exist.
        ValueError: If the number of names differs from the number of classes, or an option is invalid.
    """

    train_metrics = LOSSES
    primary_metric = "mask_map_50"

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        backbone: Backbone = "light",
        weights: str | None = None,
        trainable_stages: int | None = None,
        min_size: int | None = None,
        max_size: int = 1333,
        anchor_sizes: Sequence[int] | None = None,
        proposals: int | None = None,
        min_score: float = 0.05,
        **options: Any,
    ) -> None:
        if not 0 <= min_score < 1:
            raise ValueError(f"min_score: {min_score} is not in [0, 1)")
        if weights in DETECTION_WEIGHTS and backbone != "resnet50_fpn":
            raise ValueError(f"weights: {weights} are of backbone resnet50_fpn; for {backbone} give a file, or none")
        pretrained = weights is not None and backbone == "resnet50_fpn"
        net = MaskRCNN(
            num_classes + 1,
            backbone,
            min_size,
            max_size,
            anchor_sizes,
            proposals,
            min_score,
            frozen_norm=weights is not None,
            trainable_stages=3 if pretrained and trainable_stages is None else trainable_stages,
        )
        super().__init__(net, nn.Identity(), **options)  # the network computes its losses itself
        # A checkpoint contains the weights; a path in it would have to exist wherever it is loaded.
        self.hparams.pop("weights", None)
        self.source = weights
        self.class_names = list(class_names or map(str, range(num_classes)))
        if len(self.class_names) != num_classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for {num_classes} classes")

    def forward(self, x: Any) -> Any:
        """Returns the detections in each of several images, `[3, H, W]` from 0 to 1; see `MaskRCNN`."""
        net: Any = self.net
        return [found for _, found in net.detect_and_score(x)]

    def detect(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Returns the same without gradients and in evaluation mode, whatever mode the module is in."""
        modes = [(part, part.training) for part in self.modules()]
        self.eval()
        try:
            with torch.no_grad():
                return self(images)
        finally:
            for part, mode in modes:
                part.training = mode

    def step(self, batch: Any, stage: Stage) -> dict[str, Any]:
        """Returns `loss` and `index`; in training its parts, else `losses` `[B]`, `detections` and `target`."""
        net: Any = self.net
        if stage == "train":
            parts = net(batch["input"], batch["target"])
            loss = torch.stack([parts[name] for name in LOSSES]).sum()
            return {"loss": loss, "index": batch["index"], **{name: parts[name].detach() for name in LOSSES}}
        found = net.detect_and_score(batch["input"], batch["target"])
        losses = torch.stack([torch.stack(list(parts.values())).sum() for parts, _ in found])
        return {
            "loss": losses.mean(),
            "losses": losses,
            "detections": [detections for _, detections in found],
            "target": batch["target"],
            "index": batch["index"],
        }

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Returns `index` and the `detections` in each image."""
        return {"index": batch["index"], "detections": self(batch["input"])}

    def metrics(self, stage: Stage) -> dict[str, Metric]:
        """Returns the mean loss of an image, and the mean average precision of boxes and masks."""
        return {"detection": DetectionMetrics()}

    def update_metrics(self, metrics: MetricCollection, outputs: dict[str, Any]) -> None:
        """Adds the detections of a batch."""
        metrics["detection"].update(outputs)

    def default_callbacks(self, datamodule: Any) -> list[str]:
        """Names the figure of a prediction."""
        return ["DetectionGrid"]

    def setup(self, stage: str) -> None:
        """Rejects half-precision training, since boxes need float32.

        Raises:
            ValueError: If the precision converts the whole network to another type than float32.
        """
        super().setup(stage)
        if (precision := self.trainer.precision).endswith("true") and precision != "32-true":
            raise ValueError(f"trainer.precision: {precision}; boxes need float32: use 32-true, bf16-mixed or 16-mixed")
        net: Any = self.net
        if net.frozen_norm:  # Lightning warns about the evaluation mode of batch norm
            warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode at the start of training")

    def stages(self) -> NoReturn:
        """Rejects unfreezing by stages.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "a MaskRCNNSegmenter cannot be unfrozen stage by stage; model.trainable_stages selects what is trained"
        )

    def download_weights(self) -> None:
        """Downloads named weights unless they are there."""
        require_detection_weights(self.source)

    def load_pretrained(self) -> None:
        """Loads the weights, except for the layers with an output for each class."""
        require_detection_weights(self.source)
        load_detection_weights(self.net, self.source)
