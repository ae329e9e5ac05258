import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from litzoo.lit_modules.losses import ForwardCorrection

NOISE = [[0.7, 0.2, 0.1], [0.0, 0.6, 0.4], [0.3, 0.0, 0.7]]
LABELS = torch.arange(40) % 3


def epochs_of(loss, epochs, size=20):
    """Trains with random logits `[40, 3]` in each epoch, in batches; returns them by epoch."""
    seen = {}
    for epoch in epochs:
        seen[epoch] = 3 * torch.randn(40, 3)
        for logits, target in zip(seen[epoch].split(size), LABELS.split(size), strict=True):
            loss(logits, target, epoch=epoch)
    return seen


def estimate(logits):
    """The confusion matrix of what confident samples are taken for and their labels, by scikit-learn."""
    p = logits.double().softmax(dim=1).numpy()
    taken = (p - [p[label == LABELS, label].mean() for label in range(3)]).argmax(axis=1)
    confidence = p[np.arange(40), taken]
    confident = confidence >= [0.9 * np.median(confidence[taken == label]) for label in taken]
    return confusion_matrix(taken[confident], LABELS[confident], labels=[0, 1, 2], normalize="true")


@pytest.mark.parametrize("size", [40, 20, 7, 1])
@pytest.mark.parametrize("warm_up", [1, 2, 3])
def test_estimate_counts_the_labels_in_the_last_epoch_of_the_warm_up(warm_up, size):
    loss = ForwardCorrection(warm_up=warm_up, reduction="none")
    seen = epochs_of(loss, range(warm_up), size)
    matrix = estimate(seen[warm_up - 1])
    logits = torch.randn(9, 3)
    p = logits.double().softmax(dim=1).numpy()
    expected = [-math.log(p[row] @ matrix[:, label]) for row, label in enumerate(LABELS[:9].tolist())]
    for epoch in (warm_up, warm_up + 5):  # and it stays
        assert loss(logits, LABELS[:9], epoch=epoch).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_estimate_of_a_correct_classifier_is_the_noise_for_any_confidence(scale):
    truth = torch.arange(3).repeat_interleave(1000)
    labels = torch.cat([torch.tensor(row).multinomial(1000, replacement=True) for row in NOISE])
    loss = ForwardCorrection(warm_up=1)
    for rows in torch.randperm(3000).split(100):
        loss(scale * torch.eye(3)[truth[rows]], labels[rows], epoch=0)
    loss(torch.zeros(1, 3), torch.tensor([0]), epoch=1)
    torch.testing.assert_close(loss.matrix, torch.tensor(NOISE), atol=0.05, rtol=0)


def test_a_class_that_is_never_predicted_gets_a_row_of_the_identity():
    loss = ForwardCorrection(warm_up=1)
    plain = 5 * torch.eye(3)[[0] * 12 + [1] * 5]
    between = torch.tensor([[5.0, 0, 4]])  # raises the mean probability of class 2, so that nothing is a tie
    loss(torch.cat([plain, between]), torch.tensor([0, 0, 2] * 4 + [1] * 5 + [2]), epoch=0)
    loss(torch.zeros(1, 3), torch.tensor([0]), epoch=1)
    expected = torch.tensor([[2 / 3, 0, 1 / 3], [0, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(loss.matrix, expected, atol=2e-6, rtol=0)


def test_evaluation_adds_nothing_to_the_estimate():
    loss, other = (ForwardCorrection(warm_up=1) for _ in range(2))
    logits = epochs_of(loss, [0])[0]
    other(logits, LABELS, epoch=0)
    other.eval()(9 * torch.eye(3), torch.arange(3), epoch=0)
    assert loss(logits, LABELS, epoch=1).item() == pytest.approx(other(logits, LABELS, epoch=1).item())


def test_a_given_matrix_is_not_overwritten_by_a_saved_one():
    given, other = ForwardCorrection(NOISE), ForwardCorrection(torch.eye(3).tolist())
    given.load_state_dict(other.state_dict())
    assert given.matrix.tolist() == torch.tensor(NOISE).tolist()
    estimated = ForwardCorrection(warm_up=1)
    epochs_of(estimated, [0, 1])
    given.load_state_dict(estimated.state_dict())
    assert given.matrix.tolist() == torch.tensor(NOISE).tolist()
    assert set(estimated.get_extra_state()) == {"matrix"}


@pytest.mark.parametrize("trained", [[], [0]])
def test_without_the_epoch_of_the_estimate_it_is_refused(trained):
    loss = ForwardCorrection(warm_up=2)
    epochs_of(loss, trained)
    with pytest.raises(ValueError, match="no estimate: epoch 1 was not trained"):
        loss(torch.randn(3, 3), LABELS[:3], epoch=2)


@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_a_run_resumed_during_the_warm_up_estimates_the_same(killed_after):
    batches = [(epoch, torch.randn(8, 3), LABELS[:8]) for epoch in (0, 0, 1, 1, 2, 2)]
    unbroken, resumed = (ForwardCorrection(warm_up=2) for _ in range(2))
    for step, (epoch, logits, target) in enumerate(batches):
        expected = unbroken(logits, target, epoch=epoch)
        assert torch.equal(resumed(logits, target, epoch=epoch), expected)
        if step == 2 * killed_after:
            torch.save(resumed.state_dict(), "loss.pt")
            resumed = ForwardCorrection(warm_up=2)
            resumed.load_state_dict(torch.load("loss.pt", weights_only=True))


def test_a_network_of_confidence_1_has_a_finite_loss():
    # Half precision makes that common. Class 2 is never predicted: nothing seems to be labelled so.
    loss = ForwardCorrection(warm_up=1)
    loss(1e4 * torch.eye(3)[LABELS % 2], LABELS, epoch=0)
    logits = torch.randn(6, 3, requires_grad=True)
    value = loss(logits, LABELS[:6], epoch=1)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_the_right_matrix_recovers_the_clean_posterior_from_noisy_labels():
    clean = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], dtype=torch.float64)
    noisy = clean @ torch.tensor(NOISE, dtype=torch.float64)
    found = {}
    for name, matrix in {"forward": NOISE, "plain": torch.eye(3).tolist()}.items():
        loss, logits = ForwardCorrection(matrix, reduction="none"), torch.zeros(3, 3, dtype=torch.float64)
        logits.requires_grad_()
        optimizer = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

        def closure(loss=loss, logits=logits, optimizer=optimizer):
            optimizer.zero_grad()
            each = loss(logits.repeat_interleave(3, dim=0), torch.arange(3).repeat(3))  # every label, by its fraction
            risk = (each * noisy.flatten()).sum()
            risk.backward()
            return risk

        optimizer.step(closure)
        found[name] = logits.detach().softmax(dim=1)
    torch.testing.assert_close(found["forward"], clean, atol=1e-4, rtol=0)
    torch.testing.assert_close(found["plain"], noisy, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([], "no square"),
        ([[1.0, 0.0]], "no square"),
        ([[1.0, 0.0], [1.0]], "no square"),
        ([[0.5, 0.4], [0.0, 1.0]], "row 0.*adds up to 0.9"),
        ([[1.0, 0.0], [0.6, 0.6]], "row 1.*adds up to 1.2"),
        ([[1.0, 0.0], [-0.5, 1.5]], "row 1"),
        ([[float("nan"), 1.0], [0.0, 1.0]], "row 0"),
    ],
)
def test_impossible_matrices_are_refused(matrix, words):
    with pytest.raises(ValueError, match=f"ForwardCorrection.matrix: .*{words}"):
        ForwardCorrection(matrix)


def test_a_matrix_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="matrix: 3 rows for logits of 4 classes"):
        ForwardCorrection(NOISE)(torch.randn(2, 4), torch.tensor([0, 1]))


def test_thirds_may_be_rounded():
    ForwardCorrection([[0.3333333, 0.3333333, 0.3333333]] * 3)
