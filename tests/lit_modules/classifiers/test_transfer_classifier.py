import shutil
from functools import partial

import pytest
import torch
import torchvision

from litzoo.lit_modules import CNNClassifier, MLPClassifier, ResNetClassifier, TransferClassifier
from tests.lit_modules.transferred import BACKBONE, NET, SHAPE, data, fit, same, save, still, transfer

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


def test_a_second_fit_continues_with_the_trained_weights():
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


def test_a_checkpoint_of_the_command_without_the_class_name_works():
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    content = torch.load(BACKBONE, weights_only=True)
    del content["module"]
    content["hyper_parameters"]["_class_path"] = "CNNClassifier"
    torch.save(content, BACKBONE)
    assert transfer(backbone=BACKBONE).net.head.in_features == 4 * 14 * 14


def test_parent_folders_of_the_runs_are_searched_too():
    save(CNNClassifier(SHAPE, 7, widths=[4]))
    assert transfer(backbone="digits", runs="runs/compare/variant/seed_0").net.head.in_features == 4 * 14 * 14


def test_cached_features_are_looked_up_by_position():
    model = transfer(network=NET).eval()
    datamodule = data()
    datamodule.setup("fit")
    batch = datamodule.as_evaluated(datamodule.train_set[torch.arange(24).numpy()])
    logits, loss = model.training_loss(batch)
    order = batch["index"].argsort()
    model.cache_features(batch["index"][order], model.net.features(batch["input"])[order])
    found = model.training_loss(batch | {"input": None})
    torch.testing.assert_close(found, (logits, loss))
    model.cache_features(None)
    with pytest.raises((AttributeError, TypeError)):
        model.training_loss(batch | {"input": None})
