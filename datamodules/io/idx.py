"""MNIST's file format IDX: a magic number and the size of each dimension, big endian, then one byte per value.

See http://yann.lecun.com/exdb/mnist/.
"""

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.io.paths import require_file

T = TypeVar("T")
FILES = {"images": ("{}-images-idx3-ubyte", 3), "labels": ("{}-labels-idx1-ubyte", 1)}
"""Kind -> file name, in which the part is to be filled in, and number of dimensions."""
_UINT8 = 0x0800
_GZIP = b"\x1f\x8b"
_REMEDY = "remove its folder to download it again"


class IDXFiles:
    """The four IDX files of a data set of images: images and labels of the parts `train` and `t10k` (test).

    Args:
        folder: Folder of the files.
        size: `(H, W)` of the images.
        classes: Number of classes.
    """

    def __init__(self, folder: Path, size: tuple[int, int], classes: int) -> None:
        self.folder, self.size, self.classes = folder, size, classes

    def read(self, part: str) -> tuple[Tensor, Tensor]:
        """Returns the images of a part, uint8 `[N, 1, H, W]`, and their labels, int64 `[N]`.

        Raises:
            FileNotFoundError: If a file is absent.
            ValueError: If a file is truncated, of another format, or does not fit the others; the message names it.
        """
        images = self._read(read_idx, part, "images")
        labels = self.labels(part)
        if len(images) != len(labels) or images.shape[1:] != self.size:
            raise ValueError(
                f"{self.folder}: {part} has {len(images)} images of {tuple(images.shape[1:])} and {len(labels)} "
                f"labels; expected equally many of each, and images of {self.size}; remove it to download it again"
            )
        return images[:, None], labels

    def labels(self, part: str) -> Tensor:
        """Returns the labels of a part, int64 `[N]`, without opening its images; raises like `read`."""
        labels = self._read(read_idx, part, "labels").long()
        if (largest := int(labels.max())) >= self.classes:
            raise ValueError(
                f"{self.folder / FILES['labels'][0].format(part)}: has the label {largest}, outside 0 to "
                f"{self.classes - 1}; {_REMEDY}"
            )
        return labels

    def check(self, part: str) -> None:
        """Checks the files of a part without reading its images, if any is there; raises like `read`."""
        if any((self.folder / name.format(part)).exists() for name, _ in FILES.values()):
            self.labels(part)
            self._read(idx_sizes, part, "images")

    def _read(self, reader: Callable[[Path, int], T], part: str, kind: str) -> T:
        name, dimensions = FILES[kind]
        path = self.folder / name.format(part)
        try:
            return reader(path, dimensions)
        except FileNotFoundError as error:
            if path.with_name(f"{path.name}.gz").exists():
                raise FileNotFoundError(f"{path} is absent; unpack {path.name}.gz with gunzip") from error
            raise FileNotFoundError(f"{path} is absent; {_REMEDY}") from error
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror or error}); {_REMEDY}") from error
        except ValueError as error:
            raise ValueError(f"{path} is not a file of this data set, or truncated ({error}); {_REMEDY}") from error


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Returns the values of a file with the given number of dimensions, uint8.

    Raises:
        OSError: If it cannot be read.
        ValueError: As `idx_sizes`.
    """
    sizes = idx_sizes(path, dimensions)
    return torch.from_numpy(np.fromfile(path, np.uint8, offset=_header_bytes(dimensions))).view(sizes)


def idx_sizes(path: Path, dimensions: int) -> tuple[int, ...]:
    """Returns the size of each dimension after checking the header and the length of the file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If the header is truncated, of another format, or does not match the length of the file.
    """
    require_file(path)
    header = _header_bytes(dimensions)
    with path.open("rb") as stream:
        start = stream.read(header)
    if start.startswith(_GZIP):
        raise ValueError("it is still compressed: unpack it with gunzip, under this name")
    if len(start) < header:
        raise ValueError(f"it ends after {len(start)} of the {header} bytes of its header")
    magic, *sizes = struct.unpack(f">{dimensions + 1}I", start)
    if magic != (expected := _UINT8 + dimensions):
        raise ValueError(f"its magic number is 0x{magic:08x}, but that of {dimensions} dimensions is 0x{expected:08x}")
    promised, held = math.prod(sizes), path.stat().st_size - header
    if promised != held or not held:
        raise ValueError(f"its header announces {' × '.join(map(str, sizes))} bytes, but {held} follow")
    return tuple(sizes)


def _header_bytes(dimensions: int) -> int:
    return 4 * (1 + dimensions)
