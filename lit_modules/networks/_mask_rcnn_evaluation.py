"""Evaluation of Mask R-CNN: the detections in a batch of images, and the training losses of each."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers

MASK_THRESHOLD = 0.5
"""Predicted probability from which a pixel belongs to an object."""

Evaluated = tuple[dict[str, Tensor], dict[str, Tensor]]


def detect_and_score(net: Any, images: Sequence[Tensor], targets: Sequence[Any] | None) -> list[Evaluated]:
    """Returns losses and detections of each image; see `MaskRCNN`."""
    given: Sequence[Any] = [None] * len(images) if targets is None else targets
    pairs = zip(images, given, strict=True)
    prepared = [net.transform([image], None if each is None else [each]) for image, each in pairs]
    of_size: dict[torch.Size, list[int]] = defaultdict(list)
    for number, (padded, _) in enumerate(prepared):
        of_size[padded.tensors.shape].append(number)
    evaluated: dict[int, Evaluated] = {}
    most = _most_at_once(images[0].device) if images else 1
    groups = [each[start : start + most] for each in of_size.values() for start in range(0, len(each), most)]
    for numbers in groups:
        batch = ImageList(
            torch.cat([prepared[each][0].tensors for each in numbers]),
            [prepared[each][0].image_sizes[0] for each in numbers],
        )
        sizes = [(images[each].shape[-2], images[each].shape[-1]) for each in numbers]
        wanted = None if targets is None else [prepared[each][1][0] for each in numbers]
        evaluated |= dict(zip(numbers, _evaluate(net, batch, sizes, wanted), strict=True))
    return [evaluated[number] for number in range(len(images))]


def _most_at_once(device: torch.device) -> int:
    """Returns how many images are processed together: on a CPU several at once take longer, for want of cache."""
    return 1 if device.type == "cpu" else sys.maxsize


def _evaluate(net: Any, batch: ImageList, sizes: list[tuple[int, int]], targets: list[Any] | None) -> list[Evaluated]:
    """Evaluates images of the same size after padding; torchvision would run the region proposal network twice."""
    features = net.backbone(batch.tensors)
    levels = list(features.values())
    objectness, deltas = net.rpn.head(levels)
    anchors = net.rpn.anchor_generator(batch, levels)
    per_level = [each[0].numel() for each in objectness]
    objectness, deltas = concat_box_prediction_layers(objectness, deltas)
    boxes = net.rpn.box_coder.decode(deltas.detach(), anchors).view(len(sizes), -1, 4)
    proposals, _ = net.rpn.filter_proposals(boxes, objectness, batch.image_sizes, per_level)
    detections, _ = net.roi_heads(features, proposals, batch.image_sizes)
    found = net.transform.postprocess(detections, batch.image_sizes, sizes)
    for each in found:
        each["masks"] = each["masks"][:, 0] >= MASK_THRESHOLD
    if targets is None:
        return [({}, each) for each in found]
    with _loss_mode(net.rpn, net.roi_heads):
        proposals, _ = net.rpn.filter_proposals(boxes, objectness, batch.image_sizes, per_level)  # more of them
        scores, offsets = objectness.view(len(sizes), -1, 1), deltas.view(len(sizes), -1, 4)
        return [
            (
                _losses(
                    net,
                    {name: level[n : n + 1] for name, level in features.items()},
                    (scores[n], offsets[n], anchors[n]),
                    proposals[n],
                    batch.image_sizes[n],
                    targets[n],
                ),
                each,
            )
            for n, each in enumerate(found)
        ]


def _losses(
    net: Any,
    features: dict[str, Tensor],
    of_anchors: tuple[Tensor, Tensor, Tensor],
    proposals: Tensor,
    size: tuple[int, int],
    target: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Returns the five losses of one image, as in training, with a fixed seed."""
    scores, offsets, anchors = of_anchors
    labels, matched = net.rpn.assign_targets_to_anchors([anchors], [target])
    wanted = net.rpn.box_coder.encode(matched, [anchors])
    with _fixed_seed(anchors.device):
        of_objectness, of_boxes = net.rpn.compute_loss(scores, offsets, labels, wanted)
        _, of_heads = net.roi_heads(features, [proposals], [size], [target])
    return {"loss_objectness": of_objectness, "loss_rpn_box_reg": of_boxes} | of_heads


@contextmanager
def _loss_mode(*parts: nn.Module) -> Iterator[None]:
    """Makes parts return their training losses, by their own mode alone: that of their layers stays."""
    before = [part.training for part in parts]
    for part in parts:
        part.training = True
    try:
        yield
    finally:
        for part, mode in zip(parts, before, strict=True):
            part.training = mode


@contextmanager
def _fixed_seed(device: torch.device) -> Iterator[None]:
    """Seeds the generators of the CPU and a device, and restores their states afterwards."""
    apple = device.type == "mps"  # `fork_rng` does not support its generator
    state = torch.mps.get_rng_state() if apple else None
    forked = [] if apple or device.type == "cpu" else [device]
    with torch.random.fork_rng(forked, device_type=device.type if forked else "cuda"):
        torch.manual_seed(0)
        try:
            yield
        finally:
            if state is not None:
                torch.mps.set_rng_state(state)
