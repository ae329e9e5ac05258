import inspect

import pytest
import torch

from litzoo.lit_modules import losses
from tests.lit_modules.losses.catalogue import FOUND, K, call, every_loss, trained

LOGITS, TARGET = torch.randn(3, K), torch.tensor([0, 1, 2])
MISFITS = {
    "logits of one sample": (LOGITS[0], TARGET),
    "logits of pixels": (LOGITS[:, :, None], TARGET[:, None]),
    "targets in a column": (LOGITS, TARGET[:, None]),
    "a target too few": (LOGITS, TARGET[:2]),
    "a single target": (LOGITS, TARGET[0]),
    "one-hot targets": (LOGITS, torch.eye(K)[TARGET]),
    "whole one-hot targets": (LOGITS, torch.eye(K, dtype=torch.int64)[TARGET]),
    "values as targets": (LOGITS, TARGET.float()),
    "short integers": (LOGITS, TARGET.int()),
    "truths": (LOGITS, TARGET > 0),
    "unknown class": (LOGITS, torch.tensor([0, -1, 2])),
    "one class too many": (LOGITS, torch.tensor([0, K, 2])),
    "torch's ignored class": (LOGITS, torch.tensor([0, -100, 2])),
}
IMPOSSIBLE = [
    ("ActivePassiveLoss", "alpha", -0.1),
    ("ActivePassiveLoss", "beta", -0.1),
    ("ActivePassiveLoss", "log_zero", 0),
    ("ActivePassiveLoss", "log_zero", 4.0),
    ("Bootstrapping", "beta", -0.1),
    ("Bootstrapping", "beta", 1.1),
    ("DisturbLabel", "alpha", -0.1),
    ("DisturbLabel", "alpha", 20),  # the source's percent
    ("EarlyLearningRegularization", "memory", -0.1),
    ("EarlyLearningRegularization", "memory", 1.0),
    ("EarlyLearningRegularization", "weight", -1),
    ("FocalLoss", "gamma", -0.1),
    ("ForwardCorrection", "warm_up", 0),
    ("GeneralizedCrossEntropy", "q", -0.1),
    ("GeneralizedCrossEntropy", "q", 1.1),
    ("LDAMLoss", "max_margin", -0.1),
    ("LDAMLoss", "reweight_from", -1),
    ("LDAMLoss", "scale", 0),
    ("LDAMLoss", "scale", -1),
    ("LabelSmoothing", "alpha", -0.1),
    ("LabelSmoothing", "alpha", 1.1),
    ("LabelSmoothing", "spread", "some"),
    ("LogitAdjustedCrossEntropy", "tau", -0.1),
    ("LogitNorm", "temperature", 0),
    ("LogitNorm", "temperature", -0.04),
    ("SparseOverParameterization", "lr_u", -0.1),
    ("SparseOverParameterization", "lr_v", -0.1),
    ("SparseOverParameterization", "start", -0.1),
    ("SparseOverParameterization", "start", 1.1),
    ("SymmetricCrossEntropy", "alpha", -0.1),
    ("SymmetricCrossEntropy", "beta", -0.1),
    ("SymmetricCrossEntropy", "log_zero", 0),
]
NUMBERS = [
    (loss, name)
    for loss in FOUND
    for name, parameter in inspect.signature(loss).parameters.items()
    if parameter.annotation is float
]


@pytest.mark.parametrize("name", ["LDAMLoss", "LogitAdjustedCrossEntropy", "WeightedCrossEntropy"])
@pytest.mark.parametrize("classes", [1, K - 1, K + 1])
def test_statistics_of_other_classes_are_refused(name, classes):
    loss = getattr(losses, name)()
    known = {"class_counts": torch.ones(classes), "class_weights": torch.ones(classes), "epoch": 9}
    asked = list(inspect.signature(loss.forward).parameters)[2:]
    with pytest.raises(ValueError, match=rf"class_(counts|weights): \[{classes}\] numbers for logits of {K} classes"):
        loss(LOGITS, TARGET, **{each: known[each] for each in asked})


@pytest.mark.parametrize("name", ["EarlyLearningRegularization", "SparseOverParameterization"])
def test_positions_of_other_samples_are_refused(name):
    with pytest.raises(ValueError, match=r"index: \[2\] positions for \[3\] targets"):
        getattr(losses, name)()(LOGITS, TARGET, torch.arange(2))


@every_loss
@pytest.mark.parametrize("misfit", MISFITS)
def test_logits_and_targets_that_do_not_fit_are_refused_in_training(loss_class, options, misfit):
    loss = trained(loss_class, options)
    logits, target = MISFITS[misfit]
    with pytest.raises(ValueError, match="target") as refusal:
        call(loss, logits, target, index=torch.arange(3))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("epoch", [0, 1])
def test_forward_correction_refuses_them_in_every_epoch_of_its_warm_up(misfit, epoch):
    loss = losses.ForwardCorrection()
    call(loss, LOGITS, TARGET, epoch=1)
    before = str(loss.state_dict())
    with pytest.raises(ValueError, match="target"):
        call(loss, *MISFITS[misfit], epoch=epoch)
    assert str(loss.state_dict()) == before


@every_loss
def test_they_are_refused_in_evaluation_without_changing_the_state(loss_class, options):
    loss, untouched = trained(loss_class, options).eval(), trained(loss_class, options)
    for logits, target in MISFITS.values():
        with pytest.raises(ValueError, match="target"):
            call(loss, logits, target, index=torch.arange(3))
    assert str(loss.state_dict()) == str(untouched.state_dict())


@pytest.mark.parametrize(("loss", "name", "value"), IMPOSSIBLE)
def test_impossible_parameters_are_refused_by_name_and_value(loss, name, value):
    with pytest.raises(ValueError, match=rf"{loss}\.{name}: '?{value}"):
        getattr(losses, loss)(**{name: value})


@pytest.mark.parametrize(("loss", "name"), NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_numbers_are_refused(loss, name, value):
    with pytest.raises(ValueError, match=rf"{loss.__name__}\.{name}: {value}"):
        loss(**{name: value})


def test_the_message_gives_the_range_that_holds():
    with pytest.raises(ValueError, match=r"memory: 1.0 .*\[0, 1\)"):
        losses.EarlyLearningRegularization(memory=1.0)


@pytest.mark.parametrize("loss", FOUND)
@pytest.mark.parametrize("reduction", ["median", None])
def test_another_reduction_is_refused(loss, reduction):
    with pytest.raises(ValueError, match=rf"{loss.__name__}.reduction: .* is none of mean, sum, none"):
        loss(reduction=reduction)
