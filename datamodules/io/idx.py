"""The format of MNIST's files: a magic number, a size for each dimension, all big endian, and then one byte a value.

See http://yann.lecun.com/exdb/mnist/.
"""

import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.io.paths import require_file

UINT8 = 0x0800
GZIP = b"\x1f\x8b"


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Returns the values of a file, uint8, with so many dimensions.

    Raises:
        OSError: If it cannot be read.
        ValueError: As `idx_sizes`.
    """
    sizes = idx_sizes(path, dimensions)
    return torch.from_numpy(np.fromfile(path, np.uint8, offset=_header(dimensions))).view(sizes)


def idx_sizes(path: Path, dimensions: int) -> tuple[int, ...]:
    """Returns the size of each dimension, and reads no more than it takes to know that the file is whole.

    Raises:
        OSError: If it cannot be read.
        ValueError: If its header is cut off, of something else, or promises another number of values than follow.
    """
    require_file(path)
    header = _header(dimensions)
    with path.open("rb") as stream:
        start = stream.read(header)
    if start.startswith(GZIP):
        raise ValueError("it is still compressed: unpack it with gunzip, under this name")
    if len(start) < header:
        raise ValueError(f"it ends after {len(start)} of the {header} bytes of its header")
    magic, *sizes = struct.unpack(f">{dimensions + 1}I", start)
    if magic != (right := UINT8 + dimensions):
        raise ValueError(f"its magic number is 0x{magic:08x}, that of {dimensions} dimensions 0x{right:08x}")
    promised, held = math.prod(sizes), path.stat().st_size - header
    if promised != held or not held:
        raise ValueError(f"its header promises {' × '.join(map(str, sizes))} bytes, and {held} follow")
    return tuple(sizes)


def _header(dimensions: int) -> int:
    return 4 * (1 + dimensions)
