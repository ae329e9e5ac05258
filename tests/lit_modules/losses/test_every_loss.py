import pytest
import torch
from torch.autograd import gradcheck

from litzoo.lit_modules import losses
from tests.lit_modules.losses.catalogue import FOUND, ROWS, batch, call, every_loss, trained

# Random labels, and running means of earlier epochs: these are used in training only.
DIFFERENT_IN_TRAINING = (losses.DisturbLabel, losses.EarlyLearningRegularization)


def test_there_are_losses():
    assert {losses.GeneralizedCrossEntropy, losses.OneHotSquaredError, losses.LDAMLoss} <= set(FOUND)
    assert len(FOUND) >= 13


@every_loss
def test_none_gives_one_loss_a_sample_of_which_the_others_are_mean_and_sum(loss_class, options):
    logits, target = batch()
    each, mean, total = (
        call(trained(loss_class, options, reduction).eval(), logits, target) for reduction in ("none", "mean", "sum")
    )
    assert each.shape == (6,)
    assert each.std() > 0
    assert mean.item() == pytest.approx(sum(each.tolist()) / 6, rel=1e-5)
    assert total.item() == pytest.approx(sum(each.tolist()), rel=1e-5)


@every_loss
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_gradient(loss_class, options, reduction):
    loss = trained(loss_class, options, reduction).eval()
    logits, target = batch(dtype=torch.float64)
    assert gradcheck(lambda x: call(loss, x, target), logits.requires_grad_())


@every_loss
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_every_sample_gets_a_gradient_of_its_own_loss_alone(loss_class, options, mode):
    logits, target = batch()
    logits.requires_grad_()
    each = call(trained(loss_class, options).train(mode), logits, target)
    (gradient,) = torch.autograd.grad(each[2], logits)
    assert gradient[2].abs().max() > 0
    assert gradient[[0, 1, 3, 4, 5]].abs().max() == 0


@every_loss
def test_the_order_of_a_batch_does_not_matter(loss_class, options):
    loss, (logits, target), order = trained(loss_class, options).eval(), batch(), torch.tensor([3, 0, 5, 1, 4, 2])
    expected = call(loss, logits, target)[order]
    torch.testing.assert_close(call(loss, logits[order], target[order], index=order), expected)


@every_loss
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_a_single_sample_batch_works(loss_class, options, mode):
    logits, target = batch()
    torch.manual_seed(1)
    alone = call(trained(loss_class, options, "mean").train(mode), logits[:1], target[:1])
    torch.manual_seed(1)
    none = call(trained(loss_class, options).train(mode), logits[:1], target[:1])
    assert alone.shape == ()
    assert alone.item() == pytest.approx(none.item())
    if not mode:
        assert alone.item() == pytest.approx(call(trained(loss_class, options).eval(), logits, target)[0].item())


@every_loss
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_an_empty_batch_has_no_losses(loss_class, options, mode):
    logits, target = batch(0)
    assert call(trained(loss_class, options).train(mode), logits, target).shape == (0,)
    assert call(trained(loss_class, options, "sum").train(mode), logits, target) == 0


@every_loss
def test_training_differs_from_evaluation_only_where_that_is_meant(loss_class, options):
    loss, (logits, target) = trained(loss_class, options), batch(ROWS)
    evaluated, in_training = call(loss.eval(), logits, target), call(loss.train(), logits, target)
    assert torch.equal(evaluated, in_training) == (loss_class not in DIFFERENT_IN_TRAINING)


@every_loss
def test_neither_logits_nor_targets_are_changed(loss_class, options):
    loss, (logits, target) = trained(loss_class, options), batch()
    before = logits.clone(), target.clone()
    call(loss, logits, target)
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])
