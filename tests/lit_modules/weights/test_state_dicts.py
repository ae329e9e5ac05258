"""Weights in the files of training scripts, read by the transfer classifier and by Mask R-CNN."""

from pathlib import Path

import pytest
import torch
from torch import nn

from litzoo.lit_modules.networks import MaskRCNN
from litzoo.lit_modules.weights.pretrained import load_detection_weights, read_weights
from litzoo.lit_modules.weights.state_dicts import plain_state_dict

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.Linear(4, 2)))
STATE = NET.state_dict()
FILES = {
    "plain": STATE,
    "DataParallel": nn.DataParallel(NET).state_dict(),
    "compiled": torch.compile(NET).state_dict(),
    "a compiled part": nn.Sequential(NET[0], torch.compile(NET[1])).state_dict(),
    "compiled and parallel": {f"module._orig_mod.{name}": value for name, value in STATE.items()},
    "parallel and compiled": {f"_orig_mod.module.{name}": value for name, value in STATE.items()},
    "state_dict": {"state_dict": STATE, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model": {"model": STATE, "args": {"a": 1}},
    "model_state_dict": {"epoch": 1, "model_state_dict": STATE},
    "parallel within": {"state_dict": nn.DataParallel(NET).state_dict(), "best_acc1": 0.7},
}


@pytest.mark.parametrize("name", FILES)
def test_weights_are_found_by_the_names_of_the_network(name):
    torch.save(FILES[name], "weights.pth")
    found = read_weights(Path("weights.pth"))
    assert list(found) == list(STATE)
    assert all(torch.equal(found[each], STATE[each]) for each in STATE)


def test_a_part_that_is_called_module_keeps_its_name():
    names = ["module.weight", "head.weight"]
    assert list(plain_state_dict({name: torch.zeros(1) for name in names})) == names


@pytest.mark.parametrize(
    "content", [[torch.zeros(1)], {"epoch": 3}, {"a": torch.zeros(1), "b": 2}, 3]
)
def test_other_content_is_no_weights(content):
    assert plain_state_dict(content) is None
    torch.save(content, "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth cannot be read as plain weights|holds no weights"):
        load_detection_weights(MaskRCNN(2, "light", proposals=20), "other.pth")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_mask_rcnn_reads_them_too(prefix):
    first, second = MaskRCNN(3, "light", proposals=20), MaskRCNN(3, "light", proposals=20)
    torch.save({"state_dict": {prefix + name: value for name, value in first.state_dict().items()}}, "weights.pth")
    load_detection_weights(second, "weights.pth")
    name = "backbone.body.conv1.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
