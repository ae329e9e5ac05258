import torch

from litzoo.datamodules.splits.core import split_train_val
from litzoo.datamodules.splits.record import fingerprint


def test_fingerprint_is_the_hash_of_the_sizes_and_indices_in_little_endian():
    # printf of "train", 02 00*7, 03 00*7, 2c 01 00*6, "val", 00*8 (two indices, 3 and 300; then none) | sha256sum
    assert fingerprint(train=torch.tensor([3, 300]), val=torch.tensor([], dtype=torch.int64)) == "b3d0c480581eedc5"


def test_values_count_as_floats_in_little_endian():
    assert fingerprint(t=torch.tensor([0.5, -2.0])) == "268c2216aaec1bb2"  # "t", 02 00*7, 00 00 00 3f, 00 00 00 c0


def test_fingerprint_tells_indices_order_and_parts_apart():
    parts = [([1], [2, 3]), ([1, 2], [3]), ([1, 2, 3], []), ([2, 3], [1]), ([2, 1], [3])]
    found = {fingerprint(train=torch.tensor(train), val=torch.tensor(val)) for train, val in parts}
    assert len(found) == len(parts)
    assert fingerprint(train=torch.tensor([1])) != fingerprint(val=torch.tensor([1]))


def test_a_split_is_the_same_on_every_machine_and_version():
    stratified = split_train_val(torch.arange(1000) % 10, 300, 100, seed=3)
    drawn = split_train_val(torch.arange(1000).float(), 0.5, 0.25, seed=3)
    found = fingerprint(**stratified._asdict()), fingerprint(**drawn._asdict())
    assert found == ("95491781ee8d1c2b", "f6d18def1ddc3b3e")
