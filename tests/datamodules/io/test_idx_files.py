from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets.mnist import read_image_file, read_label_file

from litzoo.datamodules.io.idx import idx_sizes, read_idx
from tests.data import builders
from tests.data.broken import put


@pytest.mark.parametrize(("shape", "reader"), [((5,), read_label_file), ((4, 3, 2), read_image_file)])
def test_values_are_those_that_torchvision_reads(shape, reader):
    values = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    builders.write_idx(Path("file"), values)
    assert idx_sizes(Path("file"), len(shape)) == shape
    assert torch.equal(read_idx(Path("file"), len(shape)).to(torch.int64), reader("file").to(torch.int64))


@pytest.mark.parametrize("field", [4, 8, 12])
@pytest.mark.parametrize("size", [0, 1, 2**31, 2**32 - 1])
def test_header_that_promises_something_else_is_refused_with_both_numbers(field, size):
    builders.write_idx(Path("file"), np.zeros((4, 3, 2)))
    put(field, size)(Path("file"))
    with pytest.raises(ValueError, match=rf"{size}.* 24 follow"):
        read_idx(Path("file"), 3)


def test_file_of_nothing_is_refused():
    builders.write_idx(Path("file"), np.zeros((0, 28, 28)))
    with pytest.raises(ValueError, match="0 × 28 × 28"):
        read_idx(Path("file"), 3)
