import math

import pytest
import torch
import torch.nn.functional as F

from litzoo.datamodules import DigitsDataModule, LongTailed
from litzoo.lit_modules import LDAMLoss, SoftmaxRegression
from tests.training import cpu_trainer

COUNTS = torch.tensor([10_000.0, 625.0, 16.0])
WEIGHTS = torch.tensor([0.1, 0.9, 2.0])


@pytest.mark.parametrize("largest", [0.5, 2.0])
def test_margins_fall_with_the_fourth_root_of_the_class_size(largest):
    # The fourth roots are 10, 5 and 2: margins are in proportion to 1/10, 1/5 and 1/2, the largest as asked.
    logits = torch.zeros(3, 3, dtype=torch.float64)
    values = LDAMLoss(largest, reduction="none")(logits, torch.arange(3), COUNTS, WEIGHTS, 0)
    margins = [math.log(math.exp(value) - 1) - math.log(2) for value in values.tolist()]
    assert margins == pytest.approx([0.2 * largest, 0.4 * largest, largest], rel=1e-6)


def test_scale_multiplies_logits_and_margins():
    logits, target = torch.randn(9, 3), torch.arange(9) % 3
    small = LDAMLoss(0.5, 30)(logits, target, COUNTS, WEIGHTS, 0)
    assert small.item() == pytest.approx(LDAMLoss(15, 1)(30 * logits, target, COUNTS, WEIGHTS, 0).item(), rel=1e-5)


@pytest.mark.parametrize("start", [0, 3, None])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_class_weights_are_used_from_the_given_epoch_on(start, reduction):
    logits, target = torch.randn(9, 3), torch.arange(9) % 3
    loss = LDAMLoss(0.0, reweight_from=start, reduction=reduction)
    for epoch in range(6):
        late = start is not None and epoch >= start
        expected = F.cross_entropy(logits, target, weight=WEIGHTS if late else None, reduction=reduction)
        torch.testing.assert_close(loss(logits, target, COUNTS, WEIGHTS, epoch), expected)


class Watched(LDAMLoss):
    """Notes what a module hands over."""

    given: tuple = ()

    def forward(self, logits, target, class_counts, class_weights, epoch):
        self.given = (*self.given, (class_counts.tolist(), class_weights.tolist(), epoch))
        return super().forward(logits, target, class_counts, class_weights, epoch)


def test_a_module_passes_the_class_counts_and_the_epoch():
    datamodule, loss = DigitsDataModule(imbalance=LongTailed(10), val_size=50, batch_size=32), Watched(reweight_from=1)
    model = SoftmaxRegression((1, 28, 28), 10, loss=loss)
    cpu_trainer(max_epochs=3, limit_train_batches=2).fit(model, datamodule)
    counts = datamodule.targets[datamodule.split.train].bincount()
    assert [epoch for *_, epoch in loss.given] == [0, 0, 1, 1, 2, 2]
    assert all(given[0] == counts.tolist() for given in loss.given)
    assert all(given[1] == pytest.approx((10 / counts / (1 / counts).sum()).tolist()) for given in loss.given)


def test_cosine_logits_times_30_with_a_margin_of_15_are_the_loss_of_the_paper():
    cosines, target = torch.rand(9, 3) * 2 - 1, torch.arange(9) % 3
    paper = LDAMLoss(0.5, scale=30)(cosines, target, COUNTS, WEIGHTS, 0)
    torch.testing.assert_close(LDAMLoss(15)(30 * cosines, target, COUNTS, WEIGHTS, 0), paper)
