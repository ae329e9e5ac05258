import pytest
import torch
import torch.nn.functional as F

from litzoo.datamodules import DigitsDataModule, LongTailed
from litzoo.lit_modules import SoftmaxRegression
from tests.lit_modules.losses.test_weighted_cross_entropy import Plain
from tests.training import cpu_trainer

STILL = {"optimizer": lambda weights: torch.optim.SGD(weights, lr=0.0)}


def imbalanced(factor=10):
    return DigitsDataModule(imbalance=LongTailed(factor), val_size=100, batch_size=1000, eval_batch_size=400)


@pytest.fixture(scope="module")
def fitted():
    datamodule, trainer = imbalanced(), cpu_trainer()
    model = SoftmaxRegression((1, 28, 28), 10, posthoc_tau=1.5, **STILL)
    trainer.fit(model, datamodule)
    return model, datamodule, trainer


def log_fractions(datamodule):
    counts = datamodule.targets[datamodule.split.train].bincount().double()
    return (counts / counts.sum()).log().float()


def part(datamodule, name):
    dataset = getattr(datamodule, f"{name}_set")
    return datamodule.normalise(dataset.inputs[dataset.indices]), dataset.targets[dataset.indices]


def test_training_uses_the_plain_logits(fitted):
    model, datamodule, trainer = fitted
    inputs, target = part(datamodule, "train")
    expected = F.cross_entropy(model(inputs), target)
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_validation_and_test_use_the_adjusted_ones(fitted):
    model, datamodule, trainer = fitted
    found = {"val": trainer.callback_metrics["val/loss"].item()}
    found["test"] = cpu_trainer().test(model, datamodule, verbose=False)[0]["test/loss"]
    for name, value in found.items():
        inputs, target = part(datamodule, name)
        adjusted = model(inputs) - 1.5 * log_fractions(datamodule)
        assert value == pytest.approx(F.cross_entropy(adjusted, target).item(), rel=1e-5)
        assert value != pytest.approx(F.cross_entropy(model(inputs), target).item(), rel=1e-3)


def test_predictions_are_adjusted_also_those_of_a_loaded_module(fitted):
    model, datamodule, trainer = fitted
    trainer.save_checkpoint("saved.ckpt")
    loaded = SoftmaxRegression.load_from_checkpoint("saved.ckpt", weights_only=True)
    inputs, _ = part(datamodule, "test")
    expected = model(inputs) - 1.5 * log_fractions(datamodule)
    # Predicted where the classes are equally large: the fractions are those of the training that made the checkpoint.
    for each in (model, loaded):
        other = DigitsDataModule(val_size=100, eval_batch_size=400)
        (found,) = cpu_trainer().predict(each, other)
        torch.testing.assert_close(found["logits"], expected)
        assert torch.equal(found["prediction"], expected.argmax(dim=1))
        torch.testing.assert_close(found["confidence"], expected.softmax(dim=1).max(dim=1).values)


def test_logits_equal_to_the_class_frequencies_are_adjusted_to_uniform():
    datamodule = imbalanced()
    model = SoftmaxRegression((1, 28, 28), 10, posthoc_tau=1.0, **STILL)
    cpu_trainer().fit(model, datamodule)
    torch.testing.assert_close(model.adjust_logits(log_fractions(datamodule)[None]), torch.zeros(1, 10))


def test_without_adjustment_nothing_changes():
    model, logits = SoftmaxRegression((4,), 3), torch.randn(5, 3)
    assert torch.equal(model.adjust_logits(logits), logits)


def test_it_can_be_set_after_training_without_it():
    datamodule, trainer = imbalanced(), cpu_trainer()
    trainer.fit(SoftmaxRegression((1, 28, 28), 10, **STILL), datamodule)
    trainer.save_checkpoint("plain.ckpt")
    adjusting = SoftmaxRegression.load_from_checkpoint("plain.ckpt", posthoc_tau=2.0, weights_only=True)
    torch.testing.assert_close(adjusting.adjust_logits(2 * log_fractions(datamodule)[None]), torch.zeros(1, 10))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_class_counts_stay_exact_in_half_precision(precision):
    model = SoftmaxRegression((4,), 3, posthoc_tau=1.0)
    model.class_counts.copy_(torch.tensor([70_000, 20_001, 101]))
    model.to(precision)
    assert model.class_counts.tolist() == [70_000, 20_001, 101]
    expected = -(model.class_counts / model.class_counts.sum()).log()
    torch.testing.assert_close(model.adjust_logits(torch.zeros(1, 3))[0], expected)


def test_unknown_class_counts_are_refused():
    with pytest.raises(ValueError, match="posthoc_tau: the class counts of the training set are not known"):
        SoftmaxRegression((4,), 3, posthoc_tau=1.0).adjust_logits(torch.zeros(1, 3))


@pytest.mark.parametrize("tau", [-0.1, float("nan"), float("inf")])
def test_an_impossible_tau_is_refused(tau):
    with pytest.raises(ValueError, match=f"posthoc_tau: {tau} is not at least 0"):
        SoftmaxRegression((4,), 3, posthoc_tau=tau)


def test_a_datamodule_without_class_counts_is_refused_with_the_option_named():
    with pytest.raises(ValueError, match=r"posthoc_tau.*class_counts.*Plain does not provide"):
        cpu_trainer().fit(SoftmaxRegression((1, 28, 28), 10, posthoc_tau=1.0), Plain())
