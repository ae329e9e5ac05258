import pytest
import torch
import torch.nn.functional as F

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import (
    CutMix,
    EarlyLearningRegularization,
    ForwardCorrection,
    GeneralizedCrossEntropy,
    MixUp,
    SoftmaxRegression,
)
from tests.training import cpu_trainer

MIXES = [MixUp, CutMix]


def digits(size=12):
    datamodule = DigitsDataModule(train_size=size, val_size=10, batch_size=size)
    datamodule.setup("fit")
    return {"input": torch.randn(size, 1, 28, 28), "target": torch.arange(size) % 10, "index": torch.arange(size)}


def test_mixup_is_the_weighted_mean_of_two_samples():
    inputs = torch.randn(10, 3, 4, 5)
    before = inputs.clone()
    mixed, partner, fraction = MixUp()(inputs)
    assert partner.sort().values.tolist() == list(range(10))
    for row in range(10):
        torch.testing.assert_close(mixed[row], fraction * before[row] + (1 - fraction) * before[partner[row]])
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (5, 7), (28, 28)])
def test_cutmix_takes_a_rectangle_of_the_partner_and_counts_its_pixels(shape):
    inputs = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 3, *shape).contiguous()
    for _ in range(50):
        mixed, partner, fraction = CutMix()(inputs)
        cut = mixed != inputs
        own = torch.where(cut, -1, inputs)
        assert torch.equal(torch.where(cut, inputs[partner], own), mixed)
        for row in range(6):
            if partner[row] != row:
                assert cut[row].double().mean().item() == pytest.approx(1 - fraction)
                rows, columns = cut[row, 0].any(dim=1), cut[row, 0].any(dim=0)
                assert torch.equal(cut[row], (rows[:, None] & columns).expand(3, -1, -1))
                edges = F.pad(rows.int(), (1, 1)).diff().abs().sum(), F.pad(columns.int(), (1, 1)).diff().abs().sum()
                assert max(edges) <= 2  # in one piece
    assert inputs[:, 0, 0, 0].tolist() == list(range(6))


def test_a_rectangle_has_the_shape_of_the_image_and_lies_anywhere():
    own, other = torch.zeros(1, 1, 40, 80), torch.ones(1, 1, 40, 80)
    heights, widths, covered = [], [], torch.zeros(40, 80)
    for _ in range(300):
        mixed, fraction = CutMix().mix(own, other, 0.75)  # sides of half the image's
        heights.append(int(mixed[0, 0].any(dim=1).sum()))
        widths.append(int(mixed[0, 0].any(dim=0).sum()))
        covered += mixed[0, 0]
        assert fraction >= 0.74
    assert (max(heights), max(widths)) == (pytest.approx(20, abs=1), pytest.approx(40, abs=1))
    assert min(heights) < 15
    assert covered.min() > 0


@pytest.mark.parametrize("mix", MIXES)
def test_all_and_nothing(mix):
    own, other = torch.zeros(2, 1, 6, 6), torch.ones(2, 1, 6, 6)
    mixed, fraction = mix().mix(own, other, 1.0)
    assert fraction == 1
    assert torch.equal(mixed, own)


@pytest.mark.parametrize("mix", MIXES)
def test_partners_and_fractions_are_drawn_for_every_batch_by_the_seed(mix):
    inputs = torch.randn(8, 1, 20, 20)

    def drawn(seed):
        torch.manual_seed(seed)
        return [(partner.tolist(), fraction) for _, partner, fraction in (mix()(inputs) for _ in range(5))]

    assert len({fraction for _, fraction in drawn(1)}) == 5
    assert len({tuple(partner) for partner, _ in drawn(1)}) == 5
    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_fractions_are_those_of_a_beta_distribution(alpha):
    fractions = torch.tensor([MixUp(alpha)(torch.zeros(1, 1))[2] for _ in range(4000)])
    variance = 1 / (4 * (2 * alpha + 1))
    assert fractions.mean().item() == pytest.approx(0.5, abs=4 * (variance / 4000) ** 0.5)
    assert fractions.var().item() == pytest.approx(variance, rel=0.1)
    assert ((fractions >= 0) & (fractions <= 1)).all()


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("alpha", [0, -0.5, float("nan"), float("inf")])
def test_impossible_alphas_are_refused(mix, alpha):
    with pytest.raises(ValueError, match=rf"{mix.__name__}.alpha: {alpha} is not above 0"):
        mix(alpha)


def test_cutmix_refuses_tables_which_mixup_takes():
    rows = torch.randn(4, 5)
    with pytest.raises(ValueError, match=r"images \[B, C, H, W\], not inputs of shape \[4, 5\]: use MixUp"):
        CutMix()(rows)
    assert MixUp()(rows)[0].shape == (4, 5)


@pytest.mark.parametrize("mix", MIXES)
def test_the_loss_is_that_of_targets_in_the_same_fractions(mix):
    batch, model = digits(), SoftmaxRegression((1, 28, 28), 10, mix=mix())
    torch.manual_seed(4)
    logits, loss = model.training_loss(batch)
    torch.manual_seed(4)
    inputs, partner, fraction = mix()(batch["input"])
    one_hot = torch.eye(10)[batch["target"]]
    assert 0 < fraction < 1
    torch.testing.assert_close(logits, model(inputs))
    torch.testing.assert_close(loss, F.cross_entropy(logits, fraction * one_hot + (1 - fraction) * one_hot[partner]))


def test_any_loss_is_taken_for_both_targets():
    batch, model = digits(), SoftmaxRegression((1, 28, 28), 10, mix=MixUp(), loss=GeneralizedCrossEntropy(1.0))
    torch.manual_seed(4)
    logits, loss = model.training_loss(batch)
    torch.manual_seed(4)
    _, partner, fraction = MixUp()(batch["input"])
    p, rows, target = logits.softmax(dim=1), torch.arange(12), batch["target"]
    expected = 1 - (fraction * p[rows, target] + (1 - fraction) * p[rows, target[partner]]).mean()
    torch.testing.assert_close(loss, expected)


def test_a_loss_that_remembers_samples_is_refused():
    for loss in (EarlyLearningRegularization(), ForwardCorrection()):
        with pytest.raises(ValueError, match=rf"MixUp trains every image with two labels.*{type(loss).__name__}"):
            SoftmaxRegression((4,), 2, mix=MixUp(), loss=loss)
    SoftmaxRegression((4,), 2, mix=MixUp(), loss=ForwardCorrection([[0.9, 0.1], [0.1, 0.9]]))


def test_nothing_is_mixed_in_evaluation_and_a_checkpoint_loads():
    datamodule = DigitsDataModule(train_size=20, val_size=10)
    model, trainer = SoftmaxRegression((1, 28, 28), 10, mix=CutMix()), cpu_trainer()
    trainer.fit(model, datamodule)
    trainer.save_checkpoint("saved.ckpt")
    loaded = SoftmaxRegression.load_from_checkpoint("saved.ckpt", weights_only=True)
    inputs = datamodule.normalise(datamodule.val_set.inputs[datamodule.val_set.indices])
    expected = F.cross_entropy(loaded(inputs), datamodule.val_set.targets[datamodule.val_set.indices])
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected.item(), rel=1e-5)
