"""What a checkpoint of a stranger may name, and that nothing else of it runs."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import FocalLoss, MLPClassifier, SoftmaxRegression
from litzoo.lit_modules.weights.plain_loading import INSTANTIATOR, refuse_foreign_code
from tests.counted import count
from tests.malice import RAN, RunsCode, evil_module, source_that_runs  # noqa: F401 (a fixture)
from tests.training import cpu_trainer

NAMED = {
    "class": {"loss": {"class_path": "evil.Loss"}},
    "class within another's arguments": {
        "loss": {"class_path": "torch.nn.TripletMarginWithDistanceLoss", "init_args": {"distance_function": "evil.run"}}
    },
    "module": {"_class_path": "evil.Loss"},
    "word": {"optimizer": "evil.run"},
    "dotted name": {"loss.class_path": "evil.Loss"},
    "YAML": {"loss": "class_path: evil.Loss"},
    "JSON": {"loss": '{"class_path": "evil.Loss"}'},
    "file": {"loss": "options.yaml"},
    "file without a suffix": {"loss": "options"},
    "function of torch": {"loss": source_that_runs()},
    "process": {"loss": {"class_path": "subprocess.Popen", "init_args": {"args": f"touch {RAN}", "shell": True}}},
    "list": {"mix": ["evil.Loss"]},
    "instantiator": {"_instantiator": "evil.run"},
}


def checkpoint(**hyperparameters):
    """Leaves a checkpoint as the command line makes it, with some hyperparameters changed."""
    trainer = cpu_trainer()
    trainer.strategy.connect(MLPClassifier((4,), 2, hidden=[3]))
    trainer.save_checkpoint("saved.ckpt")
    content = torch.load("saved.ckpt", weights_only=True)
    content["hyper_parameters"] |= {"_class_path": "litzoo.MLPClassifier", "_instantiator": INSTANTIATOR}
    content["hyper_parameters"] |= hyperparameters
    torch.save(content, "saved.ckpt")


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
@pytest.mark.usefixtures("evil_module")
def test_code_that_a_checkpoint_names_is_not_run(named):
    checkpoint(**named)
    for name in ("options.yaml", "options"):
        Path(name).write_text("class_path: evil.Loss\n")
    with pytest.raises(ValueError, match=r"checkpoint saved\.ckpt: its hyperparameters name '.*import that class"):
        MLPClassifier.load_from_checkpoint("saved.ckpt")
    assert not RAN.exists()
    assert "evil" not in sys.modules
    count("inputs refused")


@pytest.mark.usefixtures("evil_module")
def test_without_the_refusal_it_would_run(monkeypatch):
    monkeypatch.setattr("litzoo.lit_modules.base.refuse_foreign_code", lambda *_, **__: None)
    checkpoint(loss={"class_path": "evil.Loss"})
    MLPClassifier.load_from_checkpoint("saved.ckpt")
    assert RAN.exists()


@pytest.mark.parametrize("place", ["hparams", "module_arguments"])
def test_old_keys_of_hyperparameters_are_checked_too(place):
    with pytest.raises(ValueError, match=r"mine: its hyperparameters name 'evil\.Loss'"):
        refuse_foreign_code("mine", {place: [("loss", {"class_path": "evil.Loss"})]})
    count("inputs refused")


@pytest.mark.parametrize(
    ("named", "loss"),
    [
        ({"class_path": "FocalLoss", "init_args": {"gamma": 1.5, "reduction": "sum"}}, FocalLoss),
        ({"class_path": "torch.nn.CrossEntropyLoss"}, nn.CrossEntropyLoss),
        ({"class_path": f"{__name__}.Own"}, None),
        (None, nn.CrossEntropyLoss),
    ],
    ids=["ours", "torch's", "one's own", "none"],
)
def test_imported_classes_are_built(named, loss):
    checkpoint(loss=named, class_names=["dr.no", "a/b"])
    model = MLPClassifier.load_from_checkpoint("saved.ckpt")
    assert type(model.loss) is (loss or Own)
    assert list(model.class_names) == ["dr.no", "a/b"]


class Own(nn.CrossEntropyLoss):
    """A loss of a user's, in a module that is imported."""


@pytest.mark.usefixtures("evil_module")
def test_code_that_is_replaced_or_trusted_may_be_named():
    checkpoint(loss={"class_path": "evil.Loss"})
    assert type(MLPClassifier.load_from_checkpoint("saved.ckpt", loss=FocalLoss()).loss) is FocalLoss
    assert not RAN.exists()
    refuse_foreign_code("mine", torch.load("saved.ckpt", weights_only=True), trusted=["evil.Loss"])


@pytest.mark.parametrize("place", ["hyper_parameters", "state_dict", "callbacks"])
@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
def test_an_object_in_a_checkpoint_is_not_made(place, opened):
    checkpoint()
    content = torch.load("saved.ckpt", weights_only=True)
    torch.save({**content, place: {**content.get(place, {}), "loss._extra_state": RunsCode()}}, "saved.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"), open("saved.ckpt", "rb") as stream:
        MLPClassifier.load_from_checkpoint(stream if opened else "saved.ckpt")
    assert not RAN.exists()
    count("inputs refused")


def test_an_open_file_is_loaded_from_where_it_stands():
    checkpoint()
    with open("saved.ckpt", "rb") as stream:
        assert MLPClassifier.load_from_checkpoint(stream).hparams["hidden"] == [3]


def test_a_checkpoint_of_ones_own_may_hold_objects():
    trainer = cpu_trainer()
    trainer.strategy.connect(SoftmaxRegression((4,), 2))
    trainer.save_checkpoint("saved.ckpt")
    content = torch.load("saved.ckpt", weights_only=True)
    torch.save({**content, "extra": RunsCode()}, "saved.ckpt")
    SoftmaxRegression.load_from_checkpoint("saved.ckpt", weights_only=False)
    assert RAN.exists()


@pytest.mark.usefixtures("evil_module")
def test_a_datamodule_takes_no_options_from_a_checkpoint():
    torch.save({"datamodule_hyper_parameters": {"_instantiator": INSTANTIATOR, "label_noise": "evil.Loss"}}, "a.ckpt")
    assert DigitsDataModule.load_from_checkpoint("a.ckpt", train_size=30).train_size == 30
    torch.save({"DigitsDataModule": RunsCode()}, "b.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"):
        DigitsDataModule.load_from_checkpoint("b.ckpt")
    assert not RAN.exists()
    count("inputs refused")
