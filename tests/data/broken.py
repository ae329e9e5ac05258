"""Writes files that are wrong in one way each."""

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data import builders

Damage = Callable[[Path], object]
"""Does something to a file or folder that was whole."""


def cut(size: int) -> Damage:
    """Keeps the first `size` bytes of a file; of a negative one, all but so many."""
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def put(offset: int, number: int) -> Damage:
    """Overwrites four bytes of a file with a number, big endian."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:offset] + struct.pack(">I", number) + content[offset + 4 :])

    return damage


def zero(start: float, count: int = 2000) -> Damage:
    """Overwrites bytes with zeros from a fraction of a file on, as a bad disk does."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        first = int(len(content) * start)
        content[first : first + count] = bytes(count)
        path.write_bytes(content)

    return damage


def fill(content: bytes) -> Damage:
    """Writes something else into a file."""
    return lambda path: path.write_bytes(content)


def compress(path: Path) -> None:
    """Leaves a file compressed, under its name."""
    path.write_bytes(gzip.compress(path.read_bytes()))


def make_folder(path: Path) -> None:
    """Puts a folder in a file's place."""
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    """Puts a pipe in a file's place, which nobody writes into."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def link_to(target: str) -> Damage:
    """Puts a link in a file's place."""

    def damage(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return damage


def swap(first: Path, second: Path) -> None:
    """Gives two files each other's content."""
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def png_of(width: int, height: int) -> bytes:
    """Returns an image file of a hundred bytes whose header promises that size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def write_pets(folder: Path, suffix: str = "png") -> None:
    """Writes `<folder>/{train,test}/{cat,dog}/<number>.<suffix>`, 12 a class to train on and 4 to test on."""
    random = np.random.RandomState(0)
    for part, count in {"train": 12, "test": 4}.items():
        for name in ("cat", "dog"):
            for number in range(count):
                path = folder / part / name / f"{number:02}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.randint(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)


def write_damaged_mnist(root: Path, file: str, damage: Damage) -> None:
    """Writes MNIST's four files, and damages one."""
    builders.write_mnist(root)
    damage(root / "MNIST" / "raw" / file)
