import inspect
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from litzoo import lit_modules
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule
from litzoo.lit_modules import FixMatch, LitModule, Regressor, SoftmaxRegression
from tests.training import cpu_trainer

# `Classifier` takes its network from outside and is a base of others; a detector is saved in a test of its own; all
# the rest must be saved whole.
ELSEWHERE = (lit_modules.Classifier, lit_modules.MaskRCNNSegmenter)
MODULES = [
    module
    for module in (getattr(lit_modules, name) for name in lit_modules.__all__)
    if issubclass(module, LitModule) and not inspect.isabstract(module) and module not in ELSEWHERE
]


def tiny(module):
    """Returns a datamodule that fits a module class, and a small module whose required arguments come from it."""
    if issubclass(module, Regressor):
        datamodule = DiabetesDataModule(val_size=20)
        linked = ["input_shape", "target_mean", "target_std"]
    else:
        datamodule = DigitsDataModule(train_size=12, val_size=10, batch_size=6, eval_batch_size=10)
        linked = ["input_shape", "num_classes", "class_names"]
    own = {
        lit_modules.CoTeachingClassifier: {"forget_rate": 0.2},
        lit_modules.TransferClassifier: {"network": "squeezenet1_1"},
    }
    return datamodule, module(**{name: getattr(datamodule, name) for name in linked}, **own.get(module, {}))


def predictions(model, datamodule):
    batches = cpu_trainer(limit_predict_batches=1).predict(model, datamodule)
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def all_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def saved_and_loaded(model, **options):
    trainer = cpu_trainer()
    trainer.strategy.connect(model)
    trainer.save_checkpoint("saved.ckpt")
    torch.load("saved.ckpt", weights_only=True)
    return type(model).load_from_checkpoint("saved.ckpt", weights_only=True, **options)


def test_there_are_modules_to_save():
    assert {"CNNClassifier", "MLPClassifier", "Regressor", "ResNetClassifier", "SoftmaxRegression"} <= {
        module.__name__ for module in MODULES
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_loaded_module_predicts_bitwise_the_same(module):
    datamodule, model = tiny(module)
    trainer = cpu_trainer()
    trainer.fit(model, datamodule)
    trainer.save_checkpoint("saved.ckpt")
    assert "state_dict" in torch.load("saved.ckpt", weights_only=True)
    loaded = module.load_from_checkpoint("saved.ckpt", weights_only=True)
    before = predictions(model, datamodule)
    assert before.get("logits", before["prediction"]).std(dim=0).min() > 0
    assert all_equal(before, predictions(loaded, datamodule))


def test_a_checkpoint_keeps_class_names_and_units():
    assert saved_and_loaded(SoftmaxRegression((5,), 2, class_names=("no", "yes"))).class_names == ["no", "yes"]
    loaded = saved_and_loaded(Regressor((5,), target_mean=150.0, target_std=77.0))
    assert (loaded.target_mean, loaded.target_std) == (150, 77)


def test_objects_given_in_python_do_not_keep_a_checkpoint_from_loading():
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
    model = SoftmaxRegression((5,), 2, loss=loss, optimizer=partial(torch.optim.SGD, lr=0.1))
    loaded = saved_and_loaded(model, loss=nn.CrossEntropyLoss(weight=torch.ones(2)))
    assert torch.equal(loaded.net.head.weight, model.net.head.weight)
    assert loaded.loss.weight.tolist() == [1, 2]


@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_numpy_numbers_do_not_keep_a_checkpoint_from_loading(number):
    loaded = saved_and_loaded(Regressor((5,), target_mean=number(150), target_std=number(77)))
    assert (loaded.target_mean, loaded.target_std) == (150, 77)


def test_a_model_trained_without_a_pool_continues_with_one():
    loaded = saved_and_loaded(model := SoftmaxRegression((5,), 2), pseudo_labels=FixMatch(threshold=0.8))
    assert loaded.pseudo_labels.threshold == 0.8
    assert loaded.pseudo_labels.get_extra_state() == {}
    assert torch.equal(loaded.net.head.weight, model.net.head.weight)


def test_a_checkpoint_has_no_loss_in_its_state_dict():
    datamodule, model = tiny(SoftmaxRegression)
    trainer = cpu_trainer()
    trainer.fit(model, datamodule)
    trainer.save_checkpoint("saved.ckpt")
    saved = torch.load("saved.ckpt", weights_only=True)["state_dict"]
    assert set(saved) == {"net.head.weight", "net.head.bias", "class_counts"}
