import pytest
import torch
import torch.nn.functional as F

from litzoo.lit_modules import losses

K, MANY = 4, 40_000
# With these logits the loss identifies the label it was computed for.
TELLING = torch.tensor([0.0, 1.0, 2.0, 3.0])


def used_labels(loss, target):
    """Returns the labels that a loss has really used, `[B]`."""
    each = loss(TELLING.expand(len(target), K), target)
    return (each[:, None] + TELLING.log_softmax(dim=0)).abs().argmin(dim=1)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0])
def test_labels_are_kept_and_replaced_as_often_as_the_paper_says(alpha):
    target = torch.full((MANY,), 2)
    used = used_labels(losses.DisturbLabel(alpha, "none"), target)
    for label in range(K):
        fraction = 1 - alpha * (K - 1) / K if label == 2 else alpha / K
        sigma = (fraction * (1 - fraction) / MANY) ** 0.5
        assert (used == label).float().mean().item() == pytest.approx(fraction, abs=4 * sigma)


def test_labels_of_a_step_are_disturbed_one_by_one():
    used = torch.stack([used_labels(losses.DisturbLabel(1.0, "none"), torch.zeros(2, dtype=int)) for _ in range(4000)])
    together = (used[:, 0] == used[:, 1]).float().mean().item()
    assert together == pytest.approx(1 / K, abs=4 * (1 / K * (1 - 1 / K) / 4000) ** 0.5)


def test_other_labels_are_disturbed_at_every_step():
    loss, target = losses.DisturbLabel(0.5, "none"), torch.randint(K, (1000,))
    first, second = used_labels(loss, target), used_labels(loss, target)
    both = ((first != target) & (second != target)).float().mean().item()
    wrong = 0.5 * (K - 1) / K
    assert both == pytest.approx(wrong**2, abs=4 * (wrong**2 * (1 - wrong**2) / 1000) ** 0.5)


def test_the_seed_repeats_the_labels():
    loss, target = losses.DisturbLabel(0.5, "none"), torch.randint(K, (1000,))
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append(used_labels(loss, target))
    assert torch.equal(*runs)


def test_the_given_targets_stay_as_they_are():
    target = torch.zeros(1000, dtype=torch.int64)
    assert used_labels(losses.DisturbLabel(1.0, "none"), target).any()
    assert not target.any()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_nothing_is_disturbed_in_evaluation(alpha):
    logits, target = torch.randn(100, K), torch.randint(K, (100,))
    each = losses.DisturbLabel(alpha, "none").eval()(logits, target)
    assert torch.equal(each, F.cross_entropy(logits, target, reduction="none"))


def test_on_average_it_is_label_smoothing():
    logits, target = torch.randn(10, K).repeat(4000, 1), torch.randint(K, (10,)).repeat(4000)
    drawn = losses.DisturbLabel(0.3, "none")(logits, target).reshape(4000, 10)
    smooth = F.cross_entropy(logits[:10], target[:10], reduction="none", label_smoothing=0.3)
    assert ((drawn.mean(dim=0) - smooth).abs() < 4 * drawn.std(dim=0) / 4000**0.5).all()
