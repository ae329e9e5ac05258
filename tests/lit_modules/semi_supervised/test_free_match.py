import math

import pytest
import torch
from torch import nn

from litzoo.lit_modules import FreeMatch
from tests.lit_modules.semi_supervised.methods import Linear, batch

C = 5


def probabilities(row):
    powers = [math.exp(each) for each in row]
    return [each / sum(powers) for each in powers]


def sum_norm(values):
    return [each / sum(values) for each in values]


def cross_entropy(a, b):
    """H(a, b); a class of fraction 0 in both is none of its terms."""
    return -sum(x * math.log(y) for x, y in zip(a, b, strict=True) if x)


def ratio(values, fractions):
    return sum_norm([value / fraction if fraction else 0.0 for value, fraction in zip(values, fractions, strict=True)])


class Paper:
    """FreeMatch as the paper has it, class by class and sample by sample, with plain numbers."""

    def __init__(self, memory):
        self.memory = memory
        self.tau, self.p, self.h = 1 / C, [1 / C] * C, [1 / C] * C

    def moved(self, old, new):
        return self.memory * old + (1 - self.memory) * new

    def step(self, weak, strong):
        q, size = [probabilities(row) for row in weak], len(weak)
        label = [row.index(max(row)) for row in q]
        self.tau = self.moved(self.tau, sum(max(row) for row in q) / size)
        self.p = [self.moved(self.p[c], sum(row[c] for row in q) / size) for c in range(C)]
        self.h = [self.moved(self.h[c], label.count(c) / size) for c in range(C)]
        used = [max(row) >= self.p[c] / max(self.p) * self.tau for row, c in zip(q, label, strict=True)]
        answers = [probabilities(row) for row in strong]
        losses = sum(-math.log(row[c]) for row, c, use in zip(answers, label, used, strict=True) if use) / size
        kept = [row for row, use in zip(answers, used, strict=True) if use]
        h = [sum(row.index(max(row)) == c for row in kept) / size for c in range(C)]
        p = [sum(row[c] for row in kept) / size for c in range(C)]
        return label, used, losses, p, h


def steps(memory, count=6):
    method, paper, student = FreeMatch(memory=memory), Paper(memory), Linear(class_counts=(1,) * C)
    for _ in range(count):
        data = batch(unlabeled=40, width=C)
        data["unlabeled"]["weak"] += torch.tensor([2.0, 0, 0, 0, 0])
        weak, strong = (data["unlabeled"][view].double().tolist() for view in ("weak", "strong"))
        yield method, student, data, paper, paper.step(weak, strong)


@pytest.mark.parametrize("memory", [0.0, 0.7, 0.999])
def test_thresholds_of_the_classes_are_those_of_the_paper(memory):
    for method, student, data, paper, (label, used, _, _, _) in steps(memory):
        term = method(student, data)
        assert method.current_threshold() == pytest.approx(paper.tau, rel=1e-5)
        assert term.label.tolist() == label
        assert term.used.tolist() == used
        if memory < 0.9:
            assert not all(used)


@pytest.mark.parametrize("fairness", [0.0, 0.01, 0.5])
def test_the_loss_has_the_fairness_term_of_the_paper(fairness):
    for method, student, data, paper, (_, used, losses, p, h) in steps(0.7):
        assert any(used)
        method.fairness = fairness
        pool, here = ratio(paper.p, paper.h), ratio(p, h)
        # A class that is the answer to none of them has fraction 0 here, which the logarithm is kept from.
        fair = -cross_entropy(pool, [each + 1e-12 for each in here])
        assert method(student, data).loss.item() == pytest.approx(losses + fairness * fair, rel=1e-4)


def test_the_threshold_starts_between_uniform_probabilities_and_the_first_batch():
    method = FreeMatch()
    assert method.current_threshold() == 0
    method(Linear(class_counts=(1,) * C), batch(width=C))
    assert 1 / C < method.current_threshold() < 1 / C + 0.001


def test_a_hard_class_has_a_lower_threshold():
    method, student, data = FreeMatch(memory=0.0), Linear(class_counts=(1, 1, 1)), batch(unlabeled=4, width=3)
    data["unlabeled"]["weak"] = torch.tensor([[0.9, 0.05, 0.05]] * 2 + [[0.65, 0.3, 0.05], [0.3, 0.65, 0.05]]).log()
    used = method(student, data).used
    assert used.tolist() == [True, True, False, True]


def test_fairness_pulls_on_the_strong_view_alone():
    method, student, data = FreeMatch(fairness=1.0, memory=0.5), nn.Identity(), batch(width=C)
    student.class_counts = torch.ones(C)
    for view in ("weak", "strong"):
        data["unlabeled"][view].requires_grad_()
    plain = FreeMatch(fairness=0.0, memory=0.5)
    gradients = []
    for each in (method, plain):
        gradients.append(torch.autograd.grad(each(student, data).loss, data["unlabeled"]["strong"])[0])
    used = plain(student, data).used
    assert used.any()
    assert gradients[0][used].sub(gradients[1][used]).abs().max() > 1e-3
    assert data["unlabeled"]["weak"].grad is None


def test_without_used_samples_there_is_no_fairness_term():
    method, student, data = FreeMatch(fairness=1.0), Linear(class_counts=(1,) * C), batch(width=C)
    method.bar(torch.ones(40, dtype=torch.bool))
    term = method(student, data)
    assert term.loss == 0
    assert not term.used.any()
