from pathlib import Path

import pytest
import torch
import torchvision
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from torch import nn

from litzoo.callbacks import GradualUnfreezing
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import TransferClassifier
from litzoo.lit_modules.weights import pretrained as offered
from tests.lit_modules.transferred import NET, SHAPE, data, fit, same, save, transfer
from tests.training import cpu_trainer


@pytest.mark.parametrize("written_by", ["file", "weights of torch.hub"])
def test_torchvisions_weights_are_loaded_into_the_trunk(written_by, monkeypatch):
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


@pytest.mark.parametrize(
    "finder", [BatchSizeFinder(steps_per_trial=1, max_trials=1), LearningRateFinder(num_training_steps=2)]
)
def test_a_callback_such_as_the_learning_rate_finder_keeps_the_weights(finder):
    theirs = torchvision.models.get_model(NET)
    torch.save(theirs.state_dict(), "mine.pth")
    model = transfer(network=NET, weights="mine.pth")
    cpu_trainer(max_epochs=1, limit_train_batches=0, limit_val_batches=0, callbacks=[finder]).fit(model, data())
    assert torch.equal(model.net.trunk.features[0].weight, theirs.features[0].weight)


def test_the_error_of_a_failed_download_names_file_and_folder(monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "hub")

    def unreachable(url, place, checksum):
        assert checksum == "397923af"
        raise OSError("no network")

    monkeypatch.setattr(offered, "download_url_to_file", unreachable)
    entry = torchvision.models.VGG16_Weights.IMAGENET1K_V1
    message = r"https://\S+vgg16-397923af.pth could .*no network.*Put vgg16-397923af.pth into hub/hub/checkpoints,"
    with pytest.raises(FileNotFoundError, match=message):
        offered.download(entry)
    place = Path("hub/hub/checkpoints/vgg16-397923af.pth")
    place.touch()
    offered.download(entry)  # is there, whatever is in it
    with pytest.raises(ValueError, match="is no file of plain weights, or a damaged one"):
        offered.read_weights(place)


def test_the_error_names_the_file_in_processes_that_do_not_download_too(monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "hub")
    model = transfer(network=NET, weights="DEFAULT")
    monkeypatch.setattr(model, "prepare_data", lambda: None)  # as in all but the first process of a machine
    name = torchvision.models.get_model_weights(NET).DEFAULT.url.rsplit("/", 1)[-1]
    with pytest.raises(FileNotFoundError, match=rf"model.weights: {name} is not in hub/hub/checkpoints: put it there"):
        fit(model)


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
