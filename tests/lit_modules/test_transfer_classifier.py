import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from callbacks import GradualUnfreezing
from datamodules import DigitsDataModule
from lit_modules import (
    CNNClassifier,
    CoTeachingClassifier,
    MLPClassifier,
    ResNetClassifier,
    SoftmaxRegression,
    TransferClassifier,
)
from lit_modules import pretrained_weights as offered
from tests.malice import RAN, RunsCode
from tests.training import cpu_trainer

SHAPE = (1, 28, 28)
BACKBONE = "runs/digits/version_3/checkpoints/best.ckpt"
NET = "squeezenet1_1"
still = partial(torch.optim.SGD, lr=0.0)


def data(**options):
    return DigitsDataModule(**{"train_size": 24, "val_size": 10, "batch_size": 12, "eval_batch_size": 10, **options})


def save(model, path=BACKBONE):
    trainer = cpu_trainer()
    trainer.strategy.connect(model)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(path)
    return path


def fit(model, datamodule=None, **options):
    trainer = cpu_trainer(**{"limit_val_batches": 0, **options})
    trainer.fit(model, datamodule or data())
    return model


def transfer(num_classes=10, input_shape=SHAPE, optimizer=still, **options):
    return TransferClassifier(input_shape, num_classes, optimizer=optimizer, **options)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


BACKBONES = {
    "cnn": lambda: CNNClassifier(SHAPE, 7, widths=[4, 8], hidden=[6]),
    "resnet": lambda: ResNetClassifier(SHAPE, 7, depth=18),
    "mlp": lambda: MLPClassifier(SHAPE, 7, hidden=[16, 8], batch_norm=True),
    "transferred": lambda: transfer(7, network=NET),
}


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_backbone_brings_its_features_and_the_head_is_new(kind):
    backbone = BACKBONES[kind]().eval()
    save(backbone)
    model = fit(transfer(backbone="digits")).eval()
    # Nothing is learned at a learning rate of 0, but batch norm has seen two batches.
    for mine, theirs in zip(model.net.trunk.buffers(), backbone.net.buffers(), strict=True):
        mine.copy_(theirs)
    x = torch.randn(3, *SHAPE)
    torch.testing.assert_close(model.net.features(x), backbone.net.features(x))
    assert model(x).shape == (3, 10)
    last = save(model, "saved.ckpt")
    shutil.rmtree("runs")
    again = TransferClassifier.load_from_checkpoint(last, optimizer=still).eval()
    assert same(again.state_dict(), model.state_dict())
    assert torch.equal(again(x), model(x))
    fit(again)  # goes on with what it has, and asks for no file
    assert set(torch.load(last, weights_only=True)["hyper_parameters"]) & {"backbone", "weights", "runs"} == set()


@pytest.mark.parametrize("written_by", ["file", "weights of torch.hub"])
def test_weights_of_torchvisions_are_those_of_its_network(written_by, monkeypatch):
    theirs = torchvision.models.get_model(NET)
    entry = torchvision.models.get_model_weights(NET).DEFAULT
    place = Path("mine.pth")
    if written_by != "file":
        monkeypatch.setenv("TORCH_HOME", "hub")
        place = Path("hub/hub/checkpoints") / entry.url.rsplit("/", 1)[-1]
        place.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), place)
    model = transfer(network=NET, weights="mine.pth" if written_by == "file" else "DEFAULT")
    assert not torch.equal(model.net.trunk.features[0].weight, theirs.features[0].weight)
    fit(model)
    assert torch.equal(model.net.trunk.features[0].weight, theirs.features[0].weight)

    pixels = torch.randint(256, (3, *SHAPE), dtype=torch.uint8)
    seen = []
    model.eval().net.trunk.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        model(data().normalise(pixels))
    known = entry.transforms()
    expected = torchvision.transforms.v2.functional.normalize(pixels.repeat(1, 3, 1, 1) / 255, known.mean, known.std)
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)

    save(model, "saved.ckpt")
    place.unlink()
    assert same(TransferClassifier.load_from_checkpoint("saved.ckpt").state_dict(), model.state_dict())
    trainer = cpu_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(resumed := transfer(network=NET, weights="mine.pth"), data(), ckpt_path="saved.ckpt")
    assert same(resumed.net.state_dict(), model.net.state_dict())


def test_a_second_training_goes_on_with_what_the_first_one_has_learned():
    torch.save(torchvision.models.get_model(NET).state_dict(), "mine.pth")
    model = fit(transfer(network=NET, weights="mine.pth", optimizer=partial(torch.optim.SGD, lr=0.01)))
    learned = {name: value.clone() for name, value in model.net.state_dict().items()}
    model.make_optimizer = still
    assert same(fit(model).net.state_dict(), learned)


def test_from_scratch_is_the_same_network_without_the_weights():
    torch.save(torchvision.models.get_model(NET).state_dict(), "mine.pth")
    torch.manual_seed(1)
    bare = transfer(network=NET)
    torch.manual_seed(1)
    model = transfer(network=NET, weights="mine.pth", from_scratch=True)
    assert same(fit(model).net.state_dict(), bare.net.state_dict())
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    trained, scratch = (fit(transfer(backbone="digits", from_scratch=each)) for each in (False, True))
    assert {name: value.shape for name, value in trained.net.state_dict().items()} == {
        name: value.shape for name, value in scratch.net.state_dict().items()
    }
    assert not torch.equal(trained.net.trunk.trunk[0].weight, scratch.net.trunk.trunk[0].weight)


def test_weights_that_cannot_be_downloaded_are_told_with_file_and_folder(monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "hub")

    def unreachable(url, place, checksum):
        assert checksum == "397923af"
        raise OSError("no network")

    monkeypatch.setattr(offered, "download_url_to_file", unreachable)
    entry = torchvision.models.VGG16_Weights.IMAGENET1K_V1
    message = r"https://\S+vgg16-397923af.pth could .*no network.*Put vgg16-397923af.pth into hub/hub/checkpoints,"
    with pytest.raises(FileNotFoundError, match=message):
        offered.fetch(entry)
    place = Path("hub/hub/checkpoints/vgg16-397923af.pth")
    place.touch()
    offered.fetch(entry)  # is there, whatever is in it
    with pytest.raises(ValueError, match="is no file of plain weights, or a damaged one"):
        offered.read_weights(place)


def test_where_another_process_could_not_download_them_the_place_is_told_too(monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "hub")
    model = transfer(network=NET, weights="DEFAULT")
    monkeypatch.setattr(model, "prepare_data", lambda: None)  # as in all but the first process of a machine
    name = torchvision.models.get_model_weights(NET).DEFAULT.url.rsplit("/", 1)[-1]
    with pytest.raises(FileNotFoundError, match=rf"model.weights: {name} is not in hub/hub/checkpoints: put it there"):
        fit(model)


FILES = {
    "another network": (lambda: torchvision.models.get_model("resnet18").state_dict(), "are of another network: "),
    "one entry of another shape": (
        lambda: torchvision.models.get_model(NET).state_dict() | {"features.0.bias": torch.zeros(3)},
        r"features.0.bias has the shape \[3\] there, \[64\] in the SqueezeNet asked for",
    ),
    "objects": (RunsCode, "no file of plain weights"),
    "a list": (lambda: [torch.zeros(3)], "holds no weights by name"),
    "a checkpoint": (lambda: {"pytorch-lightning_version": "2", "state_dict": {}}, "give it with --model.backbone"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_not_weights_of_the_network_are_refused(kind):
    content, message = FILES[kind]
    torch.save(content(), "mine.pth")
    with pytest.raises(ValueError, match=message):
        fit(transfer(network=NET, weights="mine.pth"))
    assert not RAN.exists()


REFUSED = {
    "neither": ({}, "network None, backbone None; give the name of one"),
    "both": ({"network": NET, "backbone": "digits"}, "give the name of one of torchvision's networks, or a"),
    "unknown network": ({"network": "vgg61"}, "'vgg61' is none of .*vgg16"),
    "unknown weights": (
        {"network": NET, "weights": "IMAGENET"},
        rf"none of {NET}'s \(IMAGENET1K_V1, DEFAULT\), and no",
    ),
    "weights of a backbone": ({"backbone": "digits", "weights": "DEFAULT"}, "a backbone brings its own"),
    "small pictures": ({"network": "alexnet"}, "no pictures of 28×28 pixels; 63×63 is .*set model.size to 63"),
    "other size": (
        {"backbone": "digits", "size": 20},
        r"CNNClassifier takes no pictures of 20×20 pixels; it was made for 28×28: set model.size to \[28, 28\]",
    ),
    "colour": ({"backbone": "digits", "input_shape": (3, 28, 28)}, "1 channels, or grey ones; these are"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_trained(kind):
    options, message = REFUSED[kind]
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    with pytest.raises(ValueError, match=message):
        transfer(**options)


def test_backbones_that_are_absent_or_no_network_are_refused():
    with pytest.raises(
        FileNotFoundError, match=r"model.backbone: 'digits' is neither a file nor an experiment in runs"
    ):
        transfer(backbone="digits")
    with pytest.raises(FileNotFoundError, match=r"model.weights: mine.pth is absent"):
        fit(transfer(network=NET, weights="mine.pth"))
    for module in (CoTeachingClassifier(0.2, input_shape=SHAPE, num_classes=10), MLPClassifier((10,), 2, hidden=[4])):
        save(module)
        with pytest.raises(ValueError, match="has no single network for pictures"):
            transfer(backbone="digits")
    save(SoftmaxRegression(SHAPE, 7))
    content = torch.load(BACKBONE, weights_only=True)
    for name in ("Evil", "os.system", ""):
        torch.save(content | {"module": name}, BACKBONE)
        with pytest.raises(ValueError, match=r"is none of the zoo's classifiers .*CNNClassifier"):
            transfer(backbone="digits")
    torch.save(content | {"hyper_parameters": {"init": "evil.run"}}, BACKBONE)
    with pytest.raises(ValueError, match=r"its hyperparameters name 'evil.run'"):
        transfer(backbone="digits")


def test_a_checkpoint_of_the_command_from_before_classes_were_noted_will_do():
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    content = torch.load(BACKBONE, weights_only=True)
    del content["module"]
    content["hyper_parameters"]["_class_path"] = "lit_modules.CNNClassifier"
    torch.save(content, BACKBONE)
    assert transfer(backbone=BACKBONE).net.head.in_features == 4 * 14 * 14


def test_the_folders_above_that_of_the_runs_are_looked_in_too():
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    assert transfer(backbone="digits", runs="runs/compare/variant/seed_0").net.head.in_features == 4 * 14 * 14


def test_cached_features_are_looked_up_by_position():
    model = transfer(network=NET).eval()
    datamodule = data()
    datamodule.setup("fit")
    batch = datamodule.as_evaluated(datamodule.train_set[torch.arange(24).numpy()])
    logits, loss = model.trained(batch)
    order = batch["index"].argsort()
    model.cache_features(batch["index"][order], model.net.features(batch["input"])[order])
    found = model.trained(batch | {"input": None})
    torch.testing.assert_close(found, (logits, loss))
    model.cache_features(None)
    with pytest.raises((AttributeError, TypeError)):
        model.trained(batch | {"input": None})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side", "width"), [("vgg16", 32, 4096), ("resnet18", 28, 512)])
def test_vgg_and_resnet_in_full(name, side, width):
    theirs = torchvision.models.get_model(name).eval()
    torch.save(theirs.state_dict(), "mine.pth")
    shape = (1, side, side)
    model = TransferClassifier(shape, 10, network=name, weights="mine.pth", size=side)
    datamodule = DigitsDataModule(train_size=12, val_size=10, batch_size=6, eval_batch_size=10)
    trainer = cpu_trainer(limit_test_batches=1, callbacks=[GradualUnfreezing()])
    head = model.net.head.weight.clone()
    trainer.fit(model, datamodule)
    assert not torch.equal(model.net.head.weight, head)
    assert model.net.head.in_features == width
    assert trainer.test(model, datamodule, verbose=False)[0].keys() >= {"test/acc"}
    last = theirs.classifier if name == "vgg16" else theirs
    setattr(last, "6" if name == "vgg16" else "fc", nn.Identity())
    x = torch.randn(2, *shape)
    with torch.no_grad():
        known = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        pixels = (x * torch.tensor(datamodule.std) + torch.tensor(datamodule.mean)).repeat(1, 3, 1, 1)
        expected = theirs(torchvision.transforms.v2.functional.normalize(pixels, known.mean, known.std))
        torch.testing.assert_close(model.eval().net.features(x), expected, atol=1e-4, rtol=1e-4)
