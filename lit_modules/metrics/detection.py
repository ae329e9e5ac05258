from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pycocotools import mask as run_lengths
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.detection import MeanAveragePrecision


class DetectionMetrics(Metric):
    """Mean loss and COCO's mean average precision (Lin et al. 2014) of boxes and of masks.

    Average precision ranks the detections of all images, so that they are collected, see `DetectionOutputs`.
    """

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)  # `DetectionOutputs` gathers from all processes itself
        self.outputs = DetectionOutputs()

    def update(self, outputs: Mapping[str, Any]) -> None:
        """Adds a batch, see `DetectionOutputs.update`; `target` and `losses` are needed."""
        self.outputs.update(outputs)

    def compute(self) -> Any:
        """Computes the metrics over all images, at least one of which must contain an object.

        Returns:
            `loss` (mean over images), `map` (boxes, mean over IoU thresholds of 0.5, 0.55, ... 0.95), `map_50` (at an
            IoU of 0.5), `mask_map` and `mask_map_50`: means over the classes that occur.
        """
        images = list(self.outputs.gather().values())
        metric = MeanAveragePrecision(iou_type=("bbox", "segm"), sync_on_compute=False)
        for image in images:
            metric.update([decoded(image["found"])], [decoded(image["target"])])
        values = metric.compute()
        names = {"map": "bbox_map", "map_50": "bbox_map_50", "mask_map": "segm_map", "mask_map_50": "segm_map_50"}
        loss = torch.tensor([image["loss"] for image in images]).mean()
        return {"loss": loss, **{name: values[theirs] for name, theirs in names.items()}}


class DetectionOutputs(nn.Module):
    """Collects the detections of an evaluation from all processes, each image once, in order of index.

    Masks are stored run-length encoded: a hundred masks in each of a hundred images would fill the memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self._images: dict[int, dict[str, Any]] = {}

    def update(self, outputs: Mapping[str, Any]) -> None:
        """Adds a batch.

        Args:
            outputs: `index` `[B]` and `detections`: for each image `boxes` `[n, 4]`, `labels`, `scores` `[n]` and
                `masks` `[n, H, W]`. Optionally `target`, the same without scores, and `losses` `[B]`.
        """
        for place, index in enumerate(outputs["index"].tolist()):
            image = {"found": _encoded(outputs["detections"][place])}
            if "target" in outputs:
                image["target"] = _encoded(outputs["target"][place])
                image["loss"] = outputs["losses"][place].item()
            self._images[index] = image

    def reset(self) -> None:
        """Drops everything collected so far."""
        self._images = {}

    def gather(self) -> dict[int, dict[str, Any]]:
        """Returns index -> `found`, `target` and `loss` from all processes, in order of index, and resets."""
        images = gathered(self._images)
        self.reset()
        return images


def gathered(images: Mapping[int, Any]) -> dict[int, Any]:
    """Returns index -> anything about an image from all processes, in order of index; every process has to call it."""
    parts = [dict(images)]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        parts = [{} for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(parts, dict(images))
    everything = {index: image for part in parts for index, image in part.items()}
    return dict(sorted(everything.items()))


def mask_areas(objects: Mapping[str, Any]) -> list[int]:
    """Returns the number of pixels of each mask of objects stored by `DetectionOutputs`."""
    return [int(area) for area in run_lengths.area(objects["masks"])]


def decoded(objects: Mapping[str, Any]) -> dict[str, Tensor]:
    """Restores objects stored by `DetectionOutputs`, with masks bool `[n, H, W]`."""
    masks = torch.zeros(0, *objects["size"], dtype=torch.bool)
    if objects["masks"]:
        masks = torch.from_numpy(run_lengths.decode(objects["masks"])).permute(2, 0, 1).bool()
    return {name: value for name, value in objects.items() if isinstance(value, Tensor)} | {"masks": masks}


def _encoded(objects: Mapping[str, Tensor]) -> dict[str, Any]:
    masks = objects["masks"].cpu().numpy().astype(np.uint8)
    stored: dict[str, Any] = {name: value.detach().cpu() for name, value in objects.items() if name != "masks"}
    stored["boxes"] = stored["boxes"].float()
    stored["size"] = masks.shape[1:]
    stored["masks"] = run_lengths.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
    return stored
