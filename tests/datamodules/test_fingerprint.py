import torch

from datamodules.splits import fingerprint, split_train_val


def test_fingerprint_is_the_hash_of_the_sizes_and_indices_in_little_endian():
    # printf of the bytes 02 00*7, 03 00*7, 2c 01 00*6, 00*8 (two indices: 3 and 300; then none) | sha256sum | cut -c-16
    assert fingerprint(torch.tensor([3, 300]), torch.tensor([], dtype=torch.int64)) == "6683bada630c715e"


def test_fingerprint_tells_indices_order_and_parts_apart():
    parts = [([1], [2, 3]), ([1, 2], [3]), ([1, 2, 3], []), ([2, 3], [1]), ([2, 1], [3])]
    assert len({fingerprint(*map(torch.tensor, map(list, pair))) for pair in parts}) == len(parts)


def test_a_split_is_the_same_on_every_machine_and_version():
    stratified = split_train_val(torch.arange(1000) % 10, 300, 100, seed=3)
    drawn = split_train_val(torch.arange(1000).float(), 0.5, 0.25, seed=3)
    assert (fingerprint(*stratified), fingerprint(*drawn)) == ("71e45d0c4c3b4e80", "51925a8b38b46643")
