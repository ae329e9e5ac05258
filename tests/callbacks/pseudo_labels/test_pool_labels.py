from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch

from litzoo.callbacks.pseudo_labels.pool import PoolLabels
from litzoo.callbacks.samples import ABSENT


def one_process(values, reduction):
    return values


def random_batches(count, size=7, samples=30, seed=0):
    """Yields batches with repeated samples: index, label, confidence, used, true label."""
    random = np.random.RandomState(seed)
    truth = random.randint(-1, 5, size=samples)
    for _ in range(count):
        index = random.randint(samples, size=size)
        batch = index, random.randint(5, size=size), random.rand(size), random.rand(size) < 0.5, truth[index]
        yield [torch.from_numpy(column) for column in batch]


def add_all(labels, batches):
    for index, label, confidence, used, clean in batches:
        labels.add(label, confidence.float(), used, index, clean)


def newest(batches):
    """Returns the newest row of each sample: index -> (label, confidence, used, true)."""
    rows = {}
    for batch in batches:
        for index, *row in zip(*(column.tolist() for column in batch), strict=True):
            rows[int(index)] = [float(value) for value in row]
    return rows


def kept(columns):
    names = ("label", "confidence", "used", "clean")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return {index: list(row) for index, row in enumerate(rows) if row[0] != ABSENT}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for index, row in expected.items():
        assert found[index] == pytest.approx(row, rel=1e-6)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 120])
def test_the_newest_label_of_each_sample_is_kept(count):
    labels, batches = PoolLabels(), list(random_batches(count))
    add_all(labels, batches)
    epoch = labels.end_epoch(one_process)
    assert_same(kept(epoch), newest(batches))
    assert_same(kept(labels.seen), newest(batches))


def test_samples_not_seen_in_an_epoch_keep_their_labels():
    labels, parts = PoolLabels(), [list(random_batches(2, seed=seed)) for seed in (0, 1)]
    for batches in parts:
        add_all(labels, batches)
        epoch = labels.end_epoch(one_process)
    assert_same(kept(epoch), newest(parts[1]))
    assert_same(kept(labels.seen), newest(parts[0]) | newest(parts[1]))
    assert newest(parts[0]).keys() - newest(parts[1]).keys()


def test_without_true_labels_they_are_absent():
    labels = PoolLabels()
    labels.add(torch.tensor([2]), torch.tensor([0.5]), torch.tensor([False]), torch.tensor([1]))
    assert kept(labels.end_epoch(one_process)) == {1: [2, 0.5, 0, ABSENT]}


class Threads:
    """Reduces tensors over threads, in place of processes."""

    def __init__(self, members):
        self.barrier, self.values = Barrier(members, timeout=20), [None] * members

    def reduce_for(self, member):
        def reduce_values(values, reduction):
            self.values[member] = values
            self.barrier.wait()
            stacked = torch.stack(self.values)
            self.barrier.wait()
            return stacked.sum(dim=0) if reduction == "sum" else stacked.amax(dim=0)

        return reduce_values


def test_the_process_that_saw_a_sample_last_counts():
    group, processes = Threads(2), [PoolLabels(), PoolLabels()]
    batches = [list(random_batches(9, samples=samples, seed=seed)) for seed, samples in [(1, 30), (2, 40)]]

    def one(number):
        add_all(processes[number], batches[number])
        processes[number].end_epoch(group.reduce_for(number))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(one, (0, 1)))
    # Of two rows at the same position in both processes, that with the larger label counts.
    rows = [torch.stack([column.double() for column in map(torch.cat, zip(*each, strict=True))]).T for each in batches]
    order = [sorted(pair, key=lambda row: row[1:3].tolist()) for pair in zip(*rows, strict=True)]
    expected = newest([torch.stack(pair).T for pair in order])
    for process in processes:
        assert_same(kept(process.seen), expected)
