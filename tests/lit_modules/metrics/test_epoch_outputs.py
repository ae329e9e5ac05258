import torch

from litzoo.lit_modules.metrics import EpochOutputs


def batch(*indices):
    index = torch.tensor(indices)
    return {"index": index, "logits": torch.stack([index * 10.0, index * 100.0], dim=1), "unused": index}


def kept_of(*batches):
    kept = EpochOutputs("logits")
    for outputs in batches:
        kept.update(outputs)
    return kept.gather()


def test_samples_come_in_the_order_of_their_index():
    kept = kept_of(batch(4, 0), batch(9, 2, 1))
    assert kept["index"].tolist() == [0, 1, 2, 4, 9]
    assert kept["logits"].tolist() == [[0, 0], [10, 100], [20, 200], [40, 400], [90, 900]]


def test_a_repeated_sample_counts_once():
    assert kept_of(batch(3, 1, 0), batch(2, 0, 3))["index"].tolist() == [0, 1, 2, 3]
    assert kept_of(batch(5, 6, 5))["logits"].tolist() == [[50, 500], [60, 600]]


def test_only_requested_keys_are_collected():
    assert set(kept_of(batch(0, 1))) == {"index", "logits"}


def test_a_reset_drops_everything():
    kept = EpochOutputs("logits")
    kept.update(batch(0, 1))
    kept.gather()
    kept.reset()
    kept.update(batch(7, 8))
    assert kept.gather()["index"].tolist() == [7, 8]


def test_a_single_sample_keeps_its_dimension():
    kept = kept_of(batch(7))
    assert (kept["index"].shape, kept["logits"].shape) == ((1,), (1, 2))
