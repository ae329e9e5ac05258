"""Logits in evaluation, and the features that a callback may request."""

import pytest
import torch

from litzoo import lit_modules
from litzoo.datamodules import DigitsDataModule, LongTailed
from tests.lit_modules.weights.test_saved_modules import MODULES, tiny
from tests.training import cpu_trainer

CLASSIFIERS = [module for module in MODULES if issubclass(module, lit_modules.Classifier)]
WIDTHS = {  # of the features
    "CNNClassifier": 64 * 7 * 7,
    "CoTeachingClassifier": 2 * 64 * 7 * 7,
    "MLPClassifier": 256,
    "ResNetClassifier": 512,
    "SoftmaxRegression": 784,
    "TransferClassifier": 512,  # of SqueezeNet
    "WhitenedCNNClassifier": 256,
}
every_classifier = pytest.mark.parametrize("module", CLASSIFIERS)


def without_gradients(function, *arguments):
    with torch.no_grad():
        return function(*arguments)


def with_statistics(module, **options):
    """Returns a classifier whose batch norms have seen something and whose class sizes differ, and images."""
    _, model = tiny(module)
    model.posthoc_tau = options.pop("posthoc_tau", 0.0)
    model.class_counts = torch.arange(1, 11)
    model.train()(torch.randn(8, 1, 28, 28))
    return model.eval(), torch.randn(5, 1, 28, 28)


def test_every_classifier_has_a_width():
    assert WIDTHS.keys() == {module.__name__ for module in CLASSIFIERS}


@every_classifier
@pytest.mark.parametrize("posthoc_tau", [0.0, 1.5])
def test_logits_are_the_same_whether_features_are_kept_or_not(module, posthoc_tau):
    model, x = with_statistics(module, posthoc_tau=posthoc_tau)
    features, plain = without_gradients(model.features_and_logits, x)
    assert features == {}
    model.keeps_features = True
    features, logits = without_gradients(model.features_and_logits, x)
    torch.testing.assert_close(logits, plain, atol=1e-6, rtol=1e-5)
    expected = without_gradients(model, x) - posthoc_tau * (torch.arange(1, 11) / 55).log()
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features["features"], without_gradients(model.net.features, x))
    assert features["features"].shape == (5, WIDTHS[module.__name__])


@every_classifier
def test_features_are_what_the_head_turns_into_logits(module):
    model, x = with_statistics(module)
    model.keeps_features = True
    features, logits = without_gradients(model.features_and_logits, x)
    torch.testing.assert_close(without_gradients(model.net.head, features["features"]), logits)


def test_features_of_co_teaching_are_those_of_both_networks():
    model, x = with_statistics(lit_modules.CoTeachingClassifier)
    model.keeps_features = True
    features, logits = without_gradients(model.features_and_logits, x)
    both = [without_gradients(net.features, x) for net in (model.net.first, model.net.second)]
    torch.testing.assert_close(features["features"], torch.cat(both, dim=1))
    torch.testing.assert_close(
        logits, sum(without_gradients(net, x) for net in (model.net.first, model.net.second)) / 2
    )


@every_classifier
@pytest.mark.parametrize("keeps", [False, True])
def test_steps_return_features_if_keeps_features(module, keeps):
    model, x = with_statistics(module)
    cpu_trainer().strategy.connect(model)
    model.trainer = cpu_trainer()
    model.keeps_features = keeps
    batch = {"input": x, "target": torch.arange(5), "index": torch.arange(5)}
    with torch.no_grad():
        outputs = [model.validation_step(batch, 0), model.test_step(batch, 0), model.predict_step(batch, 0)]
    for each in outputs:
        assert ("features" in each) is keeps
        torch.testing.assert_close(each["logits"], outputs[0]["logits"])
        if keeps:
            torch.testing.assert_close(each["features"], without_gradients(model.net.features, x))
            assert not each["features"].requires_grad
    assert model.keeps_features is keeps


@pytest.mark.parametrize("layout", [False, True])
def test_features_use_the_memory_format_and_dtype_of_the_network(layout):
    model = lit_modules.CNNClassifier((1, 28, 28), 3, widths=[8], channels_last=layout).eval()
    model.keeps_features = True
    features, logits = without_gradients(model.features_and_logits, torch.randn(5, 1, 28, 28, dtype=torch.float64))
    assert features["features"].dtype == torch.float32
    half = model.to(torch.bfloat16)
    features, logits = without_gradients(half.features_and_logits, torch.randn(5, 1, 28, 28))
    assert (features["features"].dtype, logits.dtype) == (torch.float32, torch.bfloat16)


def test_training_steps_return_no_features():
    model, x = with_statistics(lit_modules.MLPClassifier)
    model.keeps_features = True
    batch = {"input": x, "target": torch.arange(5), "index": torch.arange(5)}
    assert model.train().step(batch, "train").keys() == {"loss", "logits", "target", "index", "acc"}


def test_metrics_are_the_same_with_and_without_them():
    datamodule = DigitsDataModule(train_size=100, val_size=50, imbalance=LongTailed(4), known_classes=list("0123456"))
    model = lit_modules.MLPClassifier((1, 28, 28), 7, hidden=[8], posthoc_tau=1.0)
    cpu_trainer().fit(model, datamodule)
    found = []
    for model.keeps_features in (False, True):
        (metrics,) = cpu_trainer().test(model, datamodule, verbose=False)
        found.append(metrics)
    assert found[0] == pytest.approx(found[1])
