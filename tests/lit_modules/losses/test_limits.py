import pytest
import torch
import torch.nn.functional as F

from litzoo.lit_modules import losses

K = 4
IDENTITY = torch.eye(K).tolist()
CROSS_ENTROPY = [
    (losses.Bootstrapping(1), {}),
    (losses.Bootstrapping(1, hard=False), {}),
    (losses.DisturbLabel(0), {}),
    (losses.EarlyLearningRegularization(0), {"index": torch.arange(20)}),
    (losses.FocalLoss(0), {}),
    (losses.ForwardCorrection(IDENTITY), {}),
    (losses.ForwardCorrection(warm_up=3), {"epoch": 2}),
    (losses.GeneralizedCrossEntropy(0), {}),
    (losses.GeneralizedCrossEntropy(1e-7), {}),
    (losses.LabelSmoothing(0), {}),
    (losses.LabelSmoothing(0, "others"), {}),
    (losses.LDAMLoss(0), {"class_counts": torch.tensor([9.0, 5, 2, 1]), "class_weights": torch.rand(K), "epoch": 5}),
    (losses.LogitAdjustedCrossEntropy(0), {"class_counts": torch.tensor([9.0, 5, 2, 1])}),
    (losses.LogitAdjustedCrossEntropy(0), {"class_counts": torch.tensor([9.0, 0, 2, 1])}),
    (losses.LogitAdjustedCrossEntropy(), {"class_counts": torch.full((K,), 7.0)}),
    (losses.SymmetricCrossEntropy(1, 0), {}),
    (losses.WeightedCrossEntropy(), {"class_weights": torch.full((K,), 0.3)}),
]


def batch():
    return 2 * torch.randn(20, K, dtype=torch.float64), torch.randint(K, (20,))


def sum_over_labels(loss, logits):
    """Returns the sum of the losses that each sample would have with every label, `[B]`."""
    loss.reduction = "none"
    return sum(loss(logits, torch.full((len(logits),), label)) for label in range(K))


@pytest.mark.parametrize(
    ("loss", "extras"),
    [pytest.param(*case, id=f"{type(case[0]).__name__}-{number}") for number, case in enumerate(CROSS_ENTROPY)],
)
def test_cross_entropy_is_a_limit_with_its_gradient(loss, extras):
    logits, target = batch()
    logits.requires_grad_()
    value, expected = loss(logits, target, **extras), F.cross_entropy(logits, target)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = (torch.autograd.grad(each, logits)[0] for each in (value, expected))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_generalised_cross_entropy_comes_nearer_to_cross_entropy_as_q_falls():
    logits, target = batch()
    expected = F.cross_entropy(logits, target).item()
    gaps = [abs(losses.GeneralizedCrossEntropy(q)(logits, target).item() - expected) for q in (0.3, 0.1, 0.01, 1e-3)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.01 < gaps[0]


def test_generalised_cross_entropy_with_q_1_is_half_the_absolute_error():
    logits, target = batch()
    p = logits.softmax(dim=1)
    loss = losses.GeneralizedCrossEntropy(1, "none")(logits, target)
    torch.testing.assert_close(loss, 1 - p[torch.arange(20), target])
    torch.testing.assert_close(loss, (p - F.one_hot(target, K)).abs().sum(dim=1) / 2)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0])
def test_smoothing_over_all_classes_is_that_of_torch(alpha):
    logits, target = batch()
    expected = F.cross_entropy(logits, target, label_smoothing=alpha)
    assert losses.LabelSmoothing(alpha)(logits, target).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("alpha", [0.1, 0.4, 0.75])
def test_smoothing_over_the_others_is_that_over_all_with_a_larger_alpha(alpha):
    logits, target = batch()
    others = losses.LabelSmoothing(alpha, "others")(logits, target)
    assert others.item() == pytest.approx(losses.LabelSmoothing(alpha * K / (K - 1))(logits, target).item())
    assert others.item() != pytest.approx(losses.LabelSmoothing(alpha)(logits, target).item(), rel=1e-3)


def test_soft_bootstrapping_of_a_confident_model_is_hard_bootstrapping():
    target = torch.randint(K, (20,))
    confident = 1000 * F.one_hot(torch.randint(K, (20,)), K).double()
    for beta in (0.0, 0.3, 0.8):
        soft, hard = (losses.Bootstrapping(beta, each, "none")(confident, target) for each in (False, True))
        torch.testing.assert_close(soft, hard)
    unsure = batch()[0]
    assert losses.Bootstrapping(0.3, False)(unsure, target) > losses.Bootstrapping(0.3, True)(unsure, target)


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_symmetric_losses_sum_to_a_constant_over_the_labels(size):
    # That is what makes a loss robust (Ghosh et al. 2017). Reverse cross-entropy has -A of each wrong label's fraction.
    logits = size * batch()[0]
    everywhere = torch.ones(20, dtype=torch.float64)
    torch.testing.assert_close(sum_over_labels(losses.ActivePassiveLoss(1, 0), logits), everywhere)
    torch.testing.assert_close(sum_over_labels(losses.ActivePassiveLoss(0, 1), logits), 4 * (K - 1) * everywhere)
    torch.testing.assert_close(
        sum_over_labels(losses.SymmetricCrossEntropy(0, 1, -2), logits), 2 * (K - 1) * everywhere
    )
    torch.testing.assert_close(sum_over_labels(losses.GeneralizedCrossEntropy(1), logits), (K - 1) * everywhere)


@pytest.mark.parametrize("q", [0.3, 0.7])
def test_generalised_cross_entropies_of_all_labels_stay_within_the_bounds_of_the_paper(q):
    total = sum_over_labels(losses.GeneralizedCrossEntropy(q), 5 * batch()[0])
    assert total.min() >= (K - K ** (1 - q)) / q - 1e-9
    assert total.max() <= (K - 1) / q + 1e-9


@pytest.mark.parametrize(("loss", "most"), [
    (losses.ActivePassiveLoss(), 1 + 4),
    (losses.SymmetricCrossEntropy(0, 1), 4),
    (losses.GeneralizedCrossEntropy(0.7), 1 / 0.7),
    (losses.OneHotSquaredError(), 2 / K),
])  # fmt: skip
def test_bounded_losses_reach_their_bound_at_a_wrong_label_and_0_at_the_right_one(loss, most):
    confident = torch.tensor([[1e4, 0, 0, 0]])
    assert loss(confident, torch.tensor([0])).item() == pytest.approx(0, abs=1e-9)
    # All of them stay within it; the normalised part reaches 1/3, since the wrong classes are part of its sum.
    reached = loss(confident, torch.tensor([1])).item()
    assert reached == pytest.approx(4 + 1 / 3 if isinstance(loss, losses.ActivePassiveLoss) else most)
    assert loss(100 * torch.randn(500, K), torch.randint(K, (500,))).item() <= most


@pytest.mark.parametrize("size", [1e-3, 0.5, 100.0])
def test_logit_norm_depends_on_the_direction_of_logits_only(size):
    logits, target = batch()
    loss = losses.LogitNorm(0.1, "none")
    torch.testing.assert_close(loss(size * logits, target), loss(logits, target))
    assert not torch.allclose(F.cross_entropy(size * logits, target), F.cross_entropy(2 * size * logits, target))


def test_the_gradient_of_logit_norm_does_not_lengthen_logits():
    logits, target = batch()
    (gradient,) = torch.autograd.grad(losses.LogitNorm()(logits.requires_grad_(), target), logits)
    torch.testing.assert_close((gradient * logits).sum(dim=1), torch.zeros(20, dtype=torch.float64))
    assert gradient.norm(dim=1).min() > 0


def test_logit_norm_of_logits_of_the_length_it_gives_them_is_cross_entropy():
    logits, target = batch()
    logits = 8 * F.normalize(logits, dim=1)
    expected = F.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(losses.LogitNorm(1 / 8, "none")(logits, target), expected)


@pytest.mark.parametrize("temperature", [0.04, 1.0])
def test_logit_norm_stays_within_what_unit_logits_can_reach(temperature):
    # At a logit of length 1 / τ along the label, or against it.
    target = torch.zeros(1, dtype=torch.int64)
    for sign in (1, -1):
        aligned = sign * torch.tensor([[1.0, -1 / 3, -1 / 3, -1 / 3]], dtype=torch.float64)
        length = aligned.norm() * temperature
        expected = torch.log1p(3 * (-sign * (1 + 1 / 3) / length).exp())
        torch.testing.assert_close(losses.LogitNorm(temperature)(1e4 * aligned, target), expected)


def test_logit_norm_of_no_logits_is_that_of_a_guess():
    logits = torch.zeros(3, K, requires_grad=True)
    value = losses.LogitNorm()(logits, torch.arange(3))
    assert value.item() == pytest.approx(torch.tensor(K).log().item())
    value.backward()
    assert logits.grad.isfinite().all()
