import math

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch import nn

from litzoo.datamodules import DigitsDataModule, LongTailed
from litzoo.lit_modules import SoftmaxRegression, WeightedCrossEntropy
from tests.scripts.helpers import litzoo, short_fit
from tests.training import cpu_trainer


def imbalanced(**options):
    return DigitsDataModule(**{"imbalance": LongTailed(10), "val_size": 100, "batch_size": 64} | options)


def fit(loss, datamodule, **options):
    model = SoftmaxRegression((1, 28, 28), 10, loss=loss)
    trainer = cpu_trainer(**options)
    trainer.fit(model, datamodule)
    return model, trainer


class Asking(nn.Module):
    """Notes the class statistics that it is given."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, logits, target, class_counts, class_weights):
        self.given.append((class_counts.clone(), class_weights.clone()))
        return nn.functional.cross_entropy(logits, target)


def test_by_hand():
    # softmax of (0, ln 3) is (1/4, 3/4); the sample of class 0 counts three times as much as the one of class 1
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]])
    loss = WeightedCrossEntropy()(logits, torch.tensor([0, 1]), torch.tensor([1.5, 0.5]))
    assert loss.item() == pytest.approx((1.5 * math.log(4) + 0.5 * math.log(4 / 3)) / 2)


@pytest.mark.parametrize("scale", [1, 7])
def test_it_is_that_of_torch_and_the_scale_of_the_weights_does_not_matter(scale):
    logits, target, weights = torch.randn(20, 4), torch.randint(4, (20,)), torch.tensor([0.1, 1, 2, 0.9])
    expected = nn.CrossEntropyLoss(weight=weights)(logits, target)
    assert WeightedCrossEntropy()(logits, target, scale * weights).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("weighting", ["inverse", "sqrt"])
def test_losses_get_the_class_statistics_of_the_training_set(weighting):
    datamodule, loss = imbalanced(class_weighting=weighting), Asking()
    fit(loss, datamodule)
    counts = datamodule.targets[datamodule.split.train].bincount(minlength=10)
    weights = 1 / counts.double() ** (1 if weighting == "inverse" else 0.5)
    assert counts.max() >= 9 * counts.min()
    assert len(loss.given) == math.ceil(counts.sum() / 64)
    for given_counts, given_weights in loss.given:
        assert given_counts.tolist() == counts.tolist()
        assert given_weights.tolist() == pytest.approx((weights / weights.mean()).tolist())


def test_class_statistics_are_in_the_same_order_for_any_hash_seed():
    # Several processes match them by their order.
    model = SoftmaxRegression((4,), 3, loss=Asking())
    assert [name for name, _ in model.named_buffers()] == ["class_counts", "class_weights"]


def test_the_loss_of_an_epoch_is_weighted_and_that_of_validation_is_not():
    datamodule = imbalanced(batch_size=1000)
    model = SoftmaxRegression((1, 28, 28), 10, loss=WeightedCrossEntropy(), optimizer=lambda w: torch.optim.SGD(w, 0))
    trainer = cpu_trainer()
    trainer.fit(model, datamodule)
    for part, weight in [("train", datamodule.class_weights), ("val", None)]:
        dataset = getattr(datamodule, f"{part}_set")
        logits = model(datamodule.normalise(dataset.inputs[dataset.indices]))
        expected = nn.CrossEntropyLoss(weight=weight)(logits, dataset.targets[dataset.indices])
        assert trainer.callback_metrics[f"{part}/loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_are_saved_and_loaded():
    datamodule = imbalanced()
    _, trainer = fit(WeightedCrossEntropy(), datamodule, limit_train_batches=1)
    trainer.save_checkpoint("saved.ckpt")
    saved = torch.load("saved.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(saved["class_weights"], datamodule.class_weights)
    assert saved["class_counts"].tolist() == datamodule.class_counts
    loaded = SoftmaxRegression.load_from_checkpoint("saved.ckpt", loss=WeightedCrossEntropy(), weights_only=True)
    assert torch.equal(loaded.class_weights, datamodule.class_weights)


def test_a_loaded_module_gets_the_class_weights_of_its_new_training_data():
    _, trainer = fit(WeightedCrossEntropy(), imbalanced(), limit_train_batches=1)
    trainer.save_checkpoint("saved.ckpt")
    loaded = SoftmaxRegression.load_from_checkpoint("saved.ckpt", loss=WeightedCrossEntropy(), weights_only=True)
    other = imbalanced(imbalance=LongTailed(2))
    cpu_trainer(limit_train_batches=1).fit(loaded, other)
    assert torch.equal(loaded.class_weights, other.class_weights)


def test_the_command_hands_them_over_by_the_name_of_the_loss():
    trained = short_fit("--model.loss=WeightedCrossEntropy", "--data.imbalance=LongTailed", "--data.imbalance.factor=5")
    assert torch.equal(trained.model.class_weights, trained.datamodule.class_weights)
    assert trained.model.class_weights.max() > 4 * trained.model.class_weights.min()
    tested = litzoo("test", "--config", str(trained.run_folder / "config.yaml"))
    assert torch.equal(tested.model.class_weights, trained.model.class_weights)


class Plain(LightningDataModule):
    """Serves digits without telling how many there are of each."""

    def train_dataloader(self):
        datamodule = DigitsDataModule(train_size=30)
        datamodule.setup("fit")
        return datamodule.train_dataloader()


@pytest.mark.parametrize(
    ("loss", "words"), [(WeightedCrossEntropy(), "class_weights"), (Asking(), "class_(counts|wei)")]
)
def test_a_datamodule_without_class_statistics_is_refused(loss, words):
    with pytest.raises(ValueError, match=rf"{type(loss).__name__} needs {words}.*Plain does not provide"):
        fit(loss, Plain())
