from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as run_lengths
from torch import Tensor, nn
from torchmetrics.detection import MeanAveragePrecision


class DetectionOutputs(nn.Module):
    """Keeps what was found in each image of an evaluation, from all processes, every image once.

    Masks are kept run-length encoded: a hundred in each of a hundred images would fill the memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[int, dict[str, Any]] = {}

    def update(self, outputs: Mapping[str, Any]) -> None:
        """Keeps a batch.

        Args:
            outputs: `index` `[B]`, and `detections`: of each image `boxes` `[n, 4]`, `labels`, `scores` `[n]` and
                `masks` `[n, H, W]`. Where they are known, `target`, likewise but without scores, and `losses` `[B]`.
        """
        for place, index in enumerate(outputs["index"].tolist()):
            image = {"found": _encoded(outputs["detections"][place])}
            if "target" in outputs:
                image["target"] = _encoded(outputs["target"][place])
                image["loss"] = outputs["losses"][place].item()
            self._kept[index] = image

    def reset(self) -> None:
        """Forgets what was kept."""
        self._kept = {}

    def gather(self) -> dict[int, dict[str, Any]]:
        """Returns what was kept, index -> `found`, `target` and `loss`, in order of index, and forgets it."""
        kept = [self._kept]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            kept = [{} for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(kept, self._kept)
        self.reset()
        everything = {index: image for part in kept for index, image in part.items()}
        return dict(sorted(everything.items()))


def mean_average_precision(images: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Returns COCO's mean average precision (Lin et al. 2014) of boxes and of masks.

    Args:
        images: `found` and `target` of each, as `DetectionOutputs` keeps them; at least one object in all.

    Returns:
        `map` (boxes, mean over overlaps of 0.5, 0.55, ... 0.95), `map_50` (an overlap of 0.5 counts as found),
        `mask_map` and `mask_map_50`: means over the classes that there are.
    """
    metric = MeanAveragePrecision(iou_type=("bbox", "segm"), sync_on_compute=False)
    for image in images:
        metric.update([decoded(image["found"])], [decoded(image["target"])])
    found = metric.compute()
    names = {"map": "bbox_map", "map_50": "bbox_map_50", "mask_map": "segm_map", "mask_map_50": "segm_map_50"}
    return {name: found[theirs] for name, theirs in names.items()}


def mask_areas(objects: Mapping[str, Any]) -> list[int]:
    """Returns the number of pixels of each mask, of objects as `DetectionOutputs` keeps them."""
    return [int(area) for area in run_lengths.area(objects["masks"])]


def decoded(objects: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns objects as they were before `DetectionOutputs` kept them, with masks bool `[n, H, W]`."""
    masks = torch.zeros(0, *objects["size"], dtype=torch.bool)
    if objects["masks"]:
        masks = torch.from_numpy(run_lengths.decode(objects["masks"])).permute(2, 0, 1).bool()
    return {name: value for name, value in objects.items() if isinstance(value, Tensor)} | {"masks": masks}


def _encoded(objects: Mapping[str, Tensor]) -> dict[str, Any]:
    masks = objects["masks"].cpu().numpy().astype(np.uint8)
    kept: dict[str, Any] = {name: value.detach().cpu() for name, value in objects.items() if name != "masks"}
    kept["boxes"] = kept["boxes"].float()
    kept["size"] = masks.shape[1:]
    kept["masks"] = run_lengths.encode(np.asfortranarray(masks.transpose(1, 2, 0)))
    return kept
