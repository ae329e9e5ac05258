from functools import partial

import pytest
import torch
import torch.nn.functional as F

from litzoo.lit_modules import (
    CNNClassifier,
    CoTeachingClassifier,
    CutMix,
    FixMatch,
    FreeMatch,
    MixUp,
    MLPClassifier,
    OnlinePseudoLabels,
    ResNetClassifier,
    SoftmaxRegression,
)
from tests.lit_modules.pool_training import Steps, cnn, digits, fit, method_of
from tests.lit_modules.semi_supervised.methods import FOUND, every_method

CLASSIFIERS = {
    SoftmaxRegression: {},
    MLPClassifier: {"hidden": [16], "batch_norm": True, "dropout": 0.2},
    CNNClassifier: {"widths": [4, 4], "dropout": 0.2, "channels_last": True},
    CoTeachingClassifier: {"widths": [4], "forget_rate": 0.2},
    ResNetClassifier: {"depth": 18},
}


@pytest.mark.parametrize("method_class", FOUND)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_learns_by_every_method(classifier, method_class):
    asked = {"pseudo_labels": method_of(method_class, {}), "optimizer": partial(torch.optim.SGD, lr=0.1)}
    model = classifier(input_shape=(1, 28, 28), num_classes=10, **asked, **CLASSIFIERS[classifier])
    before, steps = {name: values.clone() for name, values in model.named_parameters()}, Steps()
    trainer = fit(model, digits(batch_size=2, unlabeled_batch_size=3), [steps])
    assert [name for name, values in model.named_parameters() if torch.equal(values, before[name])] == []
    assert any(output["pseudo_used"].any() for output in steps.outputs)
    logged = trainer.callback_metrics
    assert {"train/loss", "train/acc", "train/labeled_loss", "train/unlabeled_loss"} <= set(logged)
    assert all(value.isfinite() for value in logged.values())
    expected = logged["train/labeled_loss"] + model.pseudo_labels.weight * logged["train/unlabeled_loss"]
    assert logged["train/loss"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_the_loss_is_that_of_both_parts_by_their_weight(weight):
    steps, model = Steps(), SoftmaxRegression((1, 28, 28), 10, pseudo_labels=FixMatch(weight, threshold=0.1))
    before = {name: values.clone() for name, values in model.net.state_dict().items()}
    fit(model, callbacks=[steps], limit_train_batches=1)
    (batch,), (outputs,) = steps.batches, steps.outputs
    model.net.load_state_dict(before)
    labeled, unlabeled = batch["labeled"], batch["unlabeled"]
    labeled_loss = F.cross_entropy(model(labeled["input"]), labeled["target"])
    label = model(unlabeled["weak"]).argmax(dim=1)
    unlabeled_loss = F.cross_entropy(model(unlabeled["strong"]), label)
    assert outputs["loss"].item() == pytest.approx((labeled_loss + weight * unlabeled_loss).item(), rel=1e-5)
    assert torch.equal(outputs["pseudo_label"], label)
    assert torch.equal(outputs["pseudo_index"], unlabeled["index"])
    assert bool(outputs["pseudo_used"].all()) == bool(outputs["pseudo_used"].any()) == (weight > 0)
    assert torch.equal(outputs["index"], labeled["index"])
    assert torch.equal(outputs["target"], labeled["target"])
    assert outputs["logits"].shape == (10, 10)
    assert not any(values.requires_grad for name, values in outputs.items() if name != "loss")


@every_method
def test_with_a_weight_of_0_gradients_are_those_of_supervised_training(method_class, options):
    def gradients(method):
        torch.manual_seed(4)
        model = MLPClassifier((1, 28, 28), 10, hidden=[8], batch_norm=True, pseudo_labels=method)
        model.class_counts += 6
        outputs = model.step(data, "train")
        outputs["loss"].backward()
        return outputs, [each.grad for each in model.parameters()]

    steps, method = Steps(), method_of(method_class, options)
    fit(cnn(FixMatch()), callbacks=[steps], limit_train_batches=1)
    (data,) = steps.batches
    supervised, expected = gradients(None)
    method.weight = 0.0
    outputs, found = gradients(method)
    assert torch.equal(outputs["loss"], supervised["loss"])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert outputs["unlabeled_loss"].item() != 0  # it is looked at
    assert not outputs["unlabeled_loss"].requires_grad
    method.weight = 1.0
    assert not torch.equal(gradients(method)[1][0], expected[0])


def test_a_weight_of_0_builds_no_graph_of_the_pool():
    graphs = []

    class Watched(FixMatch):
        def forward(self, student, batch):
            graphs.append(super().forward(student, batch).loss.requires_grad)
            return super().forward(student, batch)

    for weight in (0.0, 0.5):
        fit(cnn(Watched(weight, threshold=0.1)), limit_train_batches=1)
    assert graphs == [False, True]


@pytest.mark.parametrize("mix", [MixUp, CutMix])
@every_method
def test_labeled_samples_are_mixed_beside_pseudo_labels(method_class, options, mix):
    steps, model = Steps(), cnn(method_of(method_class, options), mix=mix())
    fit(model, callbacks=[steps])
    assert all(outputs["loss"].isfinite() for outputs in steps.outputs)
    assert any(outputs["pseudo_used"].any() for outputs in steps.outputs)


@pytest.mark.parametrize("method", [OnlinePseudoLabels(), FreeMatch()])
def test_running_statistics_of_a_step_leave_out_the_strong_view(method):
    steps, model, plain = Steps(), cnn(method), cnn()
    fit(model, callbacks=[steps], limit_train_batches=1)
    (batch,) = steps.batches
    for x in (batch["labeled"]["input"], batch["unlabeled"]["weak"]):
        plain(x)
    found, expected = (
        {name: values for name, values in each.net.state_dict().items() if "running" in name or "tracked" in name}
        for each in (model, plain)
    )
    assert len(found) == 3
    torch.testing.assert_close(found, expected)
