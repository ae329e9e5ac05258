"""Images evaluated in batches have the losses and detections of images evaluated one by one by torchvision."""

import pytest
import torch

from litzoo.datamodules import ShapesDataModule
from litzoo.lit_modules.networks import MaskRCNN, _mask_rcnn_evaluation
from litzoo.lit_modules.networks._mask_rcnn_evaluation import MASK_THRESHOLD, _fixed_seed, _loss_mode


def one_by_one(net, image, target):
    """Returns losses and detections of one image, with the whole region proposal network run for each."""
    images, targets = net.transform([image], [target])
    features = net.backbone(images.tensors)
    proposals, _ = net.rpn(images, features)
    found, _ = net.roi_heads(features, proposals, images.image_sizes)
    (found,) = net.transform.postprocess(found, images.image_sizes, [tuple(image.shape[-2:])])
    found["masks"] = found["masks"][:, 0] >= MASK_THRESHOLD
    with _loss_mode(net.rpn, net.roi_heads), _fixed_seed(image.device):
        proposals, losses = net.rpn(images, features, targets)
        _, of_heads = net.roi_heads(features, proposals, images.image_sizes, targets)
    return losses | of_heads, found


@pytest.fixture(scope="module")
def samples():
    """Six images of three sizes, and their objects."""
    datamodule = ShapesDataModule(train_size=6, val_size=2)
    datamodule.setup("fit")
    batch = datamodule.as_evaluated(datamodule.train_set.__getitems__(list(range(6))))
    images, targets = list(batch["input"]), [dict(each) for each in batch["target"]]
    for number, (height, width) in {1: (64, 40), 4: (64, 40), 5: (50, 64)}.items():
        images[number] = images[number][:, :height, :width]
        masks = targets[number]["masks"][:, :height, :width]
        kept = masks.flatten(1).any(dim=1)
        limits = torch.tensor([width, height, width, height]).float()
        boxes = torch.minimum(targets[number]["boxes"], limits)
        kept &= ((boxes[:, 2:] - boxes[:, :2]) > 1).all(dim=1)
        targets[number] = {"boxes": boxes[kept], "labels": targets[number]["labels"][kept], "masks": masks[kept]}
    return images, targets


@pytest.mark.parametrize("min_size", [0, 70])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_a_batch_has_the_losses_and_detections_of_single_images(samples, min_size, most, monkeypatch):
    images, targets = samples
    monkeypatch.setattr(_mask_rcnn_evaluation, "_most_at_once", lambda device: most)
    torch.manual_seed(3)
    net = MaskRCNN(4, min_size=min_size, min_score=0.0, max_detections=20).eval()
    state = torch.get_rng_state()
    heads, run = [], net.rpn.head.forward
    with torch.no_grad():
        expected = [one_by_one(net, *each) for each in zip(images, targets, strict=True)]
        monkeypatch.setattr(net.rpn.head, "forward", lambda levels: heads.append(len(levels[0])) or run(levels))
        found = net.detect_and_score(images, targets)
        without = net.detect_and_score(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert sum(heads) == 2 * len(images)
    assert max(heads) <= most
    assert len(heads) <= 2 * 3 or most < 100  # once for each size
    assert not net.rpn.training
    for (losses, objects), (of_one, in_one), (none, again) in zip(found, expected, without, strict=True):
        assert losses.keys() == of_one.keys()
        for name, value in of_one.items():
            torch.testing.assert_close(losses[name], value, rtol=1e-6, atol=1e-6)
        assert none == {}
        assert len(in_one["scores"]) > 0
        for name in ("boxes", "scores"):
            # Boxes are up to 100 pixels, of which float32 has 7 digits.
            torch.testing.assert_close(objects[name], in_one[name], rtol=1e-6, atol=1e-4 if name == "boxes" else 1e-6)
            assert torch.equal(again[name], objects[name])
        assert torch.equal(objects["labels"], in_one["labels"])
        assert (objects["masks"] != in_one["masks"]).sum() <= 1  # a pixel may be at the threshold


def test_an_empty_batch_has_no_results():
    assert _mask_rcnn_evaluation.detect_and_score(MaskRCNN(2).eval(), [], None) == []
