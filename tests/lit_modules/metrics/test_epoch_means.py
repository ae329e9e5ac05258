import numpy as np
import pytest
import torch

from litzoo.lit_modules.metrics import EpochMeans


def add_batches(means, count, seed=0):
    """Adds batches of uneven sizes; returns the means of the two numbers over all samples, by numpy."""
    random = np.random.RandomState(seed)
    sizes = random.randint(1, 200, count)
    values = random.randn(count, 2)
    for (loss, acc), size in zip(values, sizes, strict=True):
        means.add([torch.tensor(loss), torch.tensor(acc)], int(size))
    return np.average(values, axis=0, weights=sizes)


@pytest.mark.parametrize("count", [1, 7, 100, 101, 250])
def test_means_are_weighted_with_the_batch_sizes(count):
    means = EpochMeans("loss", "acc")
    expected = add_batches(means, count)
    assert means.update_pending()
    computed = means.compute()
    assert [computed["loss"].item(), computed["acc"].item()] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_mean_so_far_moves_with_every_batch():
    means = EpochMeans("loss", "acc")
    for size, loss, expected in [(1, 4.0, 4.0), (3, 0.0, 1.0), (4, 3.0, 2.0)]:
        means.add([torch.tensor(loss), torch.tensor(-loss)], size)
        assert means.so_far("loss") == expected
        assert means.so_far("acc") == -expected


def test_there_is_nothing_to_average_before_the_first_batch():
    means = EpochMeans("loss")
    assert not means.update_pending()
    means.add([torch.tensor(1.0)], 2)
    assert means.update_pending()


def test_a_reset_starts_a_new_epoch():
    means = EpochMeans("loss", "acc")
    add_batches(means, 130, seed=1)
    means.update_pending()
    means.reset()
    assert not means.update_pending()
    expected = add_batches(means, 5, seed=2)
    assert means.so_far("acc") == pytest.approx(expected[1], rel=1e-4)


def test_a_reset_drops_pending_batches():
    means = EpochMeans("loss")
    means.add([torch.tensor(9.0)], 1)
    means.reset()
    assert not means.update_pending()


def test_half_precision_losses_are_summed_in_single_precision():
    means = EpochMeans("loss")
    for _ in range(300):
        means.add([torch.tensor(1.0, dtype=torch.bfloat16)], 1)
    means.add([torch.tensor(302.0, dtype=torch.bfloat16)], 1)
    assert means.so_far("loss") == pytest.approx(602 / 301)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_means_of_many_samples_are_exact_in_a_module_of_another_dtype(kind):
    means = EpochMeans("loss", "acc").to(kind)
    torch.nn.ModuleList([means]).to(kind)
    for _ in range(700):  # 70,000 samples are more than float16 can count
        means.add([torch.tensor(0.5), torch.tensor(0.9)], 100)
    means.update_pending()
    assert [value.item() for value in means.compute().values()] == pytest.approx([0.5, 0.9], rel=1e-5)
