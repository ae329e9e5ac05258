import numpy as np
import pytest
import torch

from litzoo.lit_modules.losses import EarlyLearningRegularization

K = 3


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


class ByHand:
    """The paper's algorithm, one sample after the other."""

    def __init__(self, weight, memory):
        self.weight, self.memory, self.past = weight, memory, {}

    def __call__(self, logits, target, index):
        values = []
        for p, y, sample in zip(softmax(logits), target, index, strict=True):
            before = self.past.get(int(sample), np.zeros(K))
            self.past[int(sample)] = self.memory * before + (1 - self.memory) * p
            values.append(-np.log(p[y]) + self.weight * np.log(1 - (p * self.past[int(sample)]).sum()))
        return values


def visits(sizes=((0, 1, 2, 3), (3, 1), (2, 0, 3), (40, 1, 2), (200, 40, 0), (0, 1, 2, 3))):
    return [(torch.randn(len(index), K), torch.randint(K, (len(index),)), torch.tensor(index)) for index in sizes]


@pytest.mark.parametrize(("weight", "memory"), [(3.0, 0.7), (1.0, 0.0), (7.0, 0.99)])
def test_several_visits_by_hand_also_of_samples_further_on_than_any_before(weight, memory):
    loss, by_hand = EarlyLearningRegularization(weight, memory, "none"), ByHand(weight, memory)
    for logits, target, index in visits():
        expected = by_hand(logits.double().numpy(), target.numpy(), index.numpy())
        assert loss(logits, target, index).tolist() == pytest.approx(expected, abs=1e-4)
    for sample, past in by_hand.past.items():
        assert loss.get_extra_state()[sample].tolist() == pytest.approx(past.tolist(), abs=1e-5)
    unseen = [sample for sample in range(len(loss.get_extra_state())) if sample not in by_hand.past]
    assert not loss.get_extra_state()[unseen].any()


def test_running_means_get_no_gradient():
    # d/dz_k of log(1 - <p, t>), t held fixed, is -p_k (t_k - <p, t>) / (1 - <p, t>).
    logits, target, index = torch.randn(4, K, dtype=torch.float64), torch.tensor([0, 1, 2, 0]), torch.arange(4)
    with_memory, without = (logits.clone().requires_grad_() for _ in range(2))
    loss = EarlyLearningRegularization(2.0, 0.6, "sum")
    loss(torch.randn(4, K), target, index)
    loss(with_memory, target, index).backward()
    torch.nn.functional.cross_entropy(without, target, reduction="sum").backward()
    p, t = logits.softmax(dim=1), loss.get_extra_state()[:4].double()
    held = (p * t).sum(dim=1, keepdim=True)
    torch.testing.assert_close(with_memory.grad - without.grad, -2 * p * (t - held) / (1 - held), rtol=1e-5, atol=1e-6)


def test_it_keeps_early_predictions_against_the_label():
    # Without it the gradient pulls towards label 1; with it, the probability of class 0 keeps a larger fraction.
    logits, target, index = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([1]), torch.tensor([0])
    pulls = []
    for weight in (0.0, 3.0):
        loss = EarlyLearningRegularization(weight)
        for _ in range(10):
            leaf = logits.clone().requires_grad_()
            loss(leaf, target, index).backward()
        pulls.append(leaf.grad[0, 0].item())
    assert pulls[1] < 0 < pulls[0]


def test_evaluation_updates_no_running_means():
    loss = EarlyLearningRegularization(reduction="none")
    for logits, target, index in visits():
        loss(logits, target, index)
    before, (logits, target, index) = loss.get_extra_state().clone(), visits()[0]
    values = [loss.eval()(logits, target, index) for _ in range(2)]
    assert torch.equal(*values)
    assert torch.equal(loss.get_extra_state(), before)


@pytest.mark.parametrize("seen", [(0, 9), (0,), ()])
def test_samples_that_were_never_visited_have_cross_entropy_in_evaluation(seen):
    loss, (logits, target, index) = EarlyLearningRegularization(), visits([(5, 6)])[0]
    if seen:
        loss(torch.randn(len(seen), K), torch.zeros(len(seen), dtype=torch.int64), torch.tensor(seen))
    expected = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(loss.eval()(logits, target, index), expected)


def test_running_means_are_reset_for_another_number_of_classes():
    loss, index = EarlyLearningRegularization(reduction="none"), torch.arange(2)
    loss(torch.randn(2, K), torch.tensor([0, 1]), index)
    loss(torch.zeros(2, 5), torch.tensor([0, 1]), index)
    assert loss.get_extra_state()[:2].tolist() == [pytest.approx([0.3 / 5] * 5)] * 2


def test_a_checkpoint_holds_no_rows_beyond_the_last_sample_seen():
    loss = EarlyLearningRegularization()
    loss(torch.randn(3, 4), torch.tensor([0, 1, 2]), torch.tensor([5, 41, 7]))
    assert loss.get_extra_state().shape == (42, 4)
    loss.set_extra_state(loss.get_extra_state())
    loss(torch.randn(1, 4), torch.tensor([3]), torch.tensor([50]))
    assert loss.get_extra_state().shape == (51, 4)


def test_there_are_hardly_more_rows_than_samples():
    samples, batch = 1000, torch.randn(50, K)
    for reserves in (False, True):
        loss, order = EarlyLearningRegularization(), torch.randperm(samples)
        if reserves:
            loss.reserve(samples)
        copies = set()
        for index in order.split(50):
            loss(batch, torch.zeros(50, dtype=torch.int64), index)
            copies.add(len(loss._rows))
        # One row belongs to no sample.
        assert max(copies) == samples + 1 if reserves else samples < max(copies) <= samples * 9 // 8 + 1
        assert len(copies) <= 8
