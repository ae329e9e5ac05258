import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from litzoo.lit_modules.base import LitModule, Stage
from litzoo.lit_modules.metrics import DetectionOutputs, mean_average_precision
from litzoo.lit_modules.networks import MaskRCNN
from litzoo.lit_modules.networks._mask_rcnn_parts import Backbone
from litzoo.lit_modules.weights.pretrained import NAMED, BorrowedWeights, load_weights, require_weights

LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")


class MaskRCNNSegmenter(BorrowedWeights, LitModule):
    """Finds objects in images: their boxes, classes and masks (Mask R-CNN, He et al. 2017).

    The objective is the sum of torchvision's five losses. Validation and test report it too, over the same random draw
    of boxes at every epoch, and the mean average precision of boxes (`map`, `map_50`) and masks (`mask_map`,
    `mask_map_50`).

    Args:
        num_classes: Classes of objects; the background is not counted.
        class_names: As many names, kept with the checkpoint; the numbers when left out.
        backbone: `resnet50_fpn`, or `light`, which trains on a CPU.
        weights: What a training begins with: `COCO_V1` (torchvision's, for `resnet50_fpn`), or the path of a file with
            the weights of such a network, also a checkpoint of litzoo; random ones when left out. The layers with an
            output for each class are new in any case. Batch normalisation then keeps its statistics.
        trainable_stages: Stages of the ResNet that are trained, counted from the last one: of `resnet50_fpn` with
            `weights` 3, else all.
        min_size: Length in pixels that the shorter side of an image is brought to; 0 leaves images as they are. 800,
            or for `light` 0, when left out.
        max_size: Length that the longer side may reach by that.
        anchor_sizes: Side of the anchors at each level of the feature pyramid, in pixels after scaling: five, or for
            `light` four, about as large as the objects.
        proposals: Boxes that are looked at in an image in training; 2,000, or for `light` 300, when left out.
        min_score: Detections below are left out.
        **options: See `LitModule`.

    Raises:
        FileNotFoundError: If there is no file of the weights.
        ValueError: If there are not as many names as classes, an option is out of bounds, or weights do not fit.
    """

    train_scores = LOSSES
    kept_outputs = ()

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
        if weights in NAMED and backbone != "resnet50_fpn":
            raise ValueError(f"weights: {weights} are of backbone resnet50_fpn; for {backbone} name a file, or none")
        borrows = weights is not None and backbone == "resnet50_fpn"
        net = MaskRCNN(
            num_classes + 1,
            backbone,
            min_size,
            max_size,
            anchor_sizes,
            proposals,
            min_score,
            frozen_norm=weights is not None,
            trainable_stages=3 if borrows and trainable_stages is None else trainable_stages,
        )
        super().__init__(net, nn.Identity(), **options)  # the network takes its losses itself
        # A checkpoint has weights of its own; a path in it would have to be there wherever it is loaded.
        self.hparams.pop("weights", None)
        self.source = weights
        self.class_names = list(class_names or map(str, range(num_classes)))
        if len(self.class_names) != num_classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for {num_classes} classes")
        self.eval_outputs: Any = DetectionOutputs()

    def fetch(self) -> None:
        """Downloads weights with a name, unless they are there."""
        require_weights(self.source)

    def put_in(self) -> None:
        """Puts weights in, but for the layers that have an output for each class."""
        require_weights(self.source)
        load_weights(self.net, self.source)

    def setup(self, stage: str) -> None:
        """Refuses a precision that boxes cannot have.

        Raises:
            ValueError: If the numbers of the whole network are to have another type than float32.
        """
        super().setup(stage)
        if (precision := self.trainer.precision).endswith("true") and precision != "32-true":
            raise ValueError(
                f"trainer.precision: {precision}; boxes need float32: choose 32-true, bf16-mixed or 16-mixed"
            )
        net: Any = self.net
        if net.frozen_norm:  # on purpose
            warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode at the start of training")

    def stages(self) -> NoReturn:
        """Refuses to be frozen stage by stage.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "a MaskRCNNSegmenter cannot be unfrozen stage by stage; model.trainable_stages says what is trained of it"
        )

    def forward(self, x: Any) -> Any:
        """Returns what is found in each of some images, `[3, H, W]` from 0 to 1; see `MaskRCNN.evaluated`."""
        net: Any = self.net
        return [net.evaluated(image)[1] for image in x]

    def detect(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Likewise, in evaluation mode and without gradients, whatever mode the module is in."""
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
        found = [net.evaluated(*each) for each in zip(batch["input"], batch["target"], strict=True)]
        losses = torch.stack([torch.stack(list(parts.values())).sum() for parts, _ in found])
        return {
            "loss": losses.mean(),
            "losses": losses,
            "detections": [detections for _, detections in found],
            "target": batch["target"],
            "index": batch["index"],
        }

    def scores(self, outputs: Any, stage: Stage) -> dict[str, Tensor]:
        """Returns the mean loss of an image, and the mean average precision of boxes and masks."""
        images = list(outputs.values())
        loss = torch.tensor([image["loss"] for image in images]).mean()
        scores = {"loss": loss, **mean_average_precision(images)}
        return {name: value.to(self.device) for name, value in scores.items()}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Returns `index`, and as `detections` what is found in each image."""
        return {"index": batch["index"], "detections": self(batch["input"])}
