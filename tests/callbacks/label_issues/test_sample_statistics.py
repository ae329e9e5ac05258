import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from litzoo.callbacks.label_issues.statistics import ABSENT, SampleStatistics
from litzoo.datamodules import UNKNOWN


def one_process(values, reduction):
    return values


def random_batches(count, size=7, samples=40, classes=5, seed=0):
    """Yields batches with repeated samples; a sample always has the same label."""
    random = np.random.RandomState(seed)
    labels = random.randint(classes, size=samples)
    for _ in range(count):
        index = random.permutation(samples - 3)[:size]  # the last three are never seen
        yield (
            torch.from_numpy(random.randn(size, classes) * 3),
            torch.from_numpy(labels[index]),
            torch.from_numpy(index),
        )


@pytest.mark.parametrize("count", [1, 49, 50, 51, 120])
def test_probabilities_losses_and_margins_are_summed_by_sample(count):
    losses, total, times, predicted = SampleStatistics(5), np.zeros(37), np.zeros(37), np.full(37, ABSENT)
    probabilities, margins = np.zeros((37, 5)), np.zeros(37)
    for logits, target, index in random_batches(count):
        losses.add(logits.float(), target, index)
        for row, label, sample in zip(logits.numpy(), target.tolist(), index.tolist(), strict=True):
            total[sample] -= log_softmax(row)[label]
            times[sample] += 1
            predicted[sample] = row.argmax()
            probabilities[sample] += softmax(row)
            margins[sample] += row[label] - np.delete(row, label).max()
    losses.end_epoch(one_process, reset_sums=False)
    size = len(losses.seen["loss"])
    assert size == 1 + np.flatnonzero(times).max()
    assert losses.seen["loss"].numpy() == pytest.approx(total[:size], rel=1e-4, abs=1e-5)
    assert losses.seen["count"].tolist() == times[:size].tolist()
    assert losses.seen["predicted"].tolist() == predicted[:size].tolist()
    assert losses.seen["margin"].numpy() == pytest.approx(margins[:size], rel=1e-4, abs=1e-4)
    assert losses.seen["probabilities"].numpy() == pytest.approx(probabilities[:size], rel=1e-4, abs=1e-5)


def test_epochs_add_up_unless_sums_are_reset():
    losses, sums = SampleStatistics(2), []
    logits, target = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    for reset_sums in (True, True, False, False):
        losses.add(logits, target, torch.tensor([2]))
        losses.end_epoch(one_process, reset_sums)
        sums.append(losses.seen["count"].tolist())
    assert sums == [[0, 0, 1], [0, 0, 1], [0, 0, 2], [0, 0, 3]]


def test_labels_of_samples_not_seen_in_an_epoch_are_kept():
    losses = SampleStatistics(2)
    for index, clean in [([0, 3], [1, 0]), ([5], [1])]:
        target = torch.ones(len(index), dtype=torch.int64)
        losses.add(torch.tensor([[3.0, 0.0]]).repeat(len(index), 1), target, torch.tensor(index))
        losses.add_clean(torch.tensor(clean), torch.tensor(index))
        losses.end_epoch(one_process, reset_sums=True)
    assert losses.seen["given"].tolist() == [1, ABSENT, ABSENT, 1, ABSENT, 1]
    assert losses.seen["clean"].tolist() == [1, ABSENT, ABSENT, 0, ABSENT, 1]
    assert losses.seen["count"].tolist() == [0, 0, 0, 0, 0, 1]


def test_samples_of_unknown_classes_are_ignored():
    losses = SampleStatistics(4)
    losses.add(torch.zeros(2, 4), torch.tensor([UNKNOWN, 1]), torch.tensor([0, 1]))
    losses.end_epoch(one_process, reset_sums=False)
    assert losses.seen["count"].tolist() == [0, 1]
    assert losses.seen["loss"].tolist() == pytest.approx([0, np.log(4)])
    assert losses.seen["probabilities"].tolist() == [[0] * 4, [0.25] * 4]
    assert losses.seen["margin"].tolist() == [0, 0]


def test_extreme_logits_in_half_precision_give_finite_losses():
    losses = SampleStatistics(2)
    losses.add(torch.tensor([[3e4, -3e4]], dtype=torch.bfloat16), torch.tensor([1]), torch.tensor([0]))
    losses.end_epoch(one_process, reset_sums=False)
    assert losses.seen["loss"].item() == pytest.approx(6e4, rel=0.01)


def test_an_epoch_without_a_batch_changes_nothing():
    losses = SampleStatistics(2)
    losses.end_epoch(one_process, reset_sums=True)
    assert {name: len(values) for name, values in losses.seen.items()} == dict.fromkeys(losses.seen, 0)
