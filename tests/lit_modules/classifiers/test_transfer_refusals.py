import pytest
import torch
import torchvision

from litzoo.lit_modules import CNNClassifier, CoTeachingClassifier, MLPClassifier, SoftmaxRegression
from tests.lit_modules.transferred import BACKBONE, NET, SHAPE, fit, save, transfer
from tests.malice import RAN, RunsCode

FILES = {
    "another network": (lambda: torchvision.models.get_model("resnet18").state_dict(), "are of another network: "),
    "names of another library": (
        lambda: {"conv_stem.weight": torch.zeros(64, 3, 3, 3)},
        r"features.0.weight is missing there, and has the shape \[64, 3, 3, 3\] in the SqueezeNet; give weights of the "
        r"same network with torchvision's names; those of other libraries need a network of your own \(docs/transfer",
    ),
    "one entry too many": (
        lambda: torchvision.models.get_model(NET).state_dict() | {"extra": torch.zeros(3)},
        r"extra has the shape \[3\] there, and is missing in the SqueezeNet; give weights",
    ),
    "one entry of another shape": (
        lambda: torchvision.models.get_model(NET).state_dict() | {"features.0.bias": torch.zeros(3)},
        r"features.0.bias has the shape \[3\] there, \[64\] in the SqueezeNet; give weights of the same network",
    ),
    "objects": (RunsCode, "no file of plain weights"),
    "a list": (lambda: [torch.zeros(3)], "holds no weights by name"),
    "a checkpoint": (lambda: {"pytorch-lightning_version": "2", "state_dict": {}}, "give it with --model.backbone"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_without_weights_of_the_network_are_refused(kind):
    content, message = FILES[kind]
    torch.save(content(), "mine.pth")
    with pytest.raises(ValueError, match=message):
        fit(transfer(network=NET, weights="mine.pth"))
    assert not RAN.exists()


REFUSED = {
    "neither": ({}, "network None, backbone None; give either the name"),
    "both": ({"network": NET, "backbone": "digits"}, "give either the name of a torchvision network or a"),
    "unknown network": ({"network": "vgg61"}, "'vgg61' is none of .*vgg16"),
    "unknown weights": (
        {"network": NET, "weights": "IMAGENET"},
        rf"none of {NET}'s \(IMAGENET1K_V1, DEFAULT\), and no",
    ),
    "weights of a backbone": ({"backbone": "digits", "weights": "DEFAULT"}, "a backbone has its own"),
    "small images": ({"network": "alexnet"}, "no images of 28×28 pixels; 63×63 is .*set model.size to 63"),
    "other size": (
        {"backbone": "digits", "size": 20},
        r"CNNClassifier takes no images of 20×20 pixels; it was made for 28×28: set model.size to \[28, 28\]",
    ),
    "colour": ({"backbone": "digits", "input_shape": (3, 28, 28)}, "1 channels, or grey ones; these are"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_invalid_options_are_refused_before_training(kind):
    options, message = REFUSED[kind]
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    with pytest.raises(ValueError, match=message):
        transfer(**options)


def test_missing_or_invalid_backbones_are_refused():
    with pytest.raises(
        FileNotFoundError, match=r"model.backbone: 'digits' is neither a file nor an experiment in runs"
    ):
        transfer(backbone="digits")
    with pytest.raises(FileNotFoundError, match=r"model.weights: mine.pth is missing"):
        fit(transfer(network=NET, weights="mine.pth"))
    pair = CoTeachingClassifier(forget_rate=0.2, input_shape=SHAPE, num_classes=10)
    for module in (pair, MLPClassifier((10,), 2, hidden=[4])):
        save(module)
        with pytest.raises(ValueError, match="has no single network for images"):
            transfer(backbone="digits")
    save(SoftmaxRegression(SHAPE, 7))
    content = torch.load(BACKBONE, weights_only=True)
    for name in ("Evil", "os.system", ""):
        torch.save(content | {"module": name}, BACKBONE)
        with pytest.raises(ValueError, match=r"is none of litzoo's classifiers .*CNNClassifier"):
            transfer(backbone="digits")
    torch.save(content | {"hyper_parameters": {"init": "evil.run"}}, BACKBONE)
    with pytest.raises(ValueError, match=r"its hyperparameters name 'evil.run'"):
        transfer(backbone="digits")
