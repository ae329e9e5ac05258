"""Writes tiny genuine files in the formats of the real data sets, so that the real readers run in the tests."""

import pickle
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image

CIFAR_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905


def random_images(count: int, height: int, width: int, channels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws `count` uint8 images `[N, H, W, C]` of ten unsorted classes; each has a bright bar elsewhere."""
    random = np.random.RandomState(seed)
    labels = random.permutation(np.arange(count) % 10)
    images = random.randint(0, 60, (count, height, width, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row = (label * height) // 10
        image[row : row + 2] = 230
    return images, labels.astype(np.int64)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes uint8 in the IDX format of MNIST: magic number, sizes (big endian), bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">I", 0x0800 + array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root: Path, name: str = "MNIST", train: int = 100, test: int = 40) -> None:
    """Writes `<root>/<name>/raw`, for MNIST and Fashion-MNIST."""
    for seed, (part, count) in enumerate({"train": train, "t10k": test}.items()):
        images, labels = random_images(count, 28, 28, 1, seed)
        write_idx(root / name / "raw" / f"{part}-images-idx3-ubyte", images[..., 0])
        write_idx(root / name / "raw" / f"{part}-labels-idx1-ubyte", labels)


def write_cifar10(root: Path, train: int = 100, test: int = 40) -> None:
    """Writes `<root>/cifar-10-batches-py`, whose checksums are not the original's, and human labels in `cifar10n`."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = random_images(train + test, 32, 32, 3, seed=2)
    rows = images.transpose(0, 3, 1, 2).reshape(train + test, -1)
    parts = [f"data_batch_{number}" for number in range(1, 6)]
    chunks = [*np.array_split(np.arange(train), 5), np.arange(train, train + test)]
    for file, chunk in zip([*parts, "test_batch"], chunks, strict=True):
        batch = {"data": rows[chunk], "labels": labels[chunk].tolist(), "batch_label": file}
        (folder / file).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CIFAR_CLASSES}))
    clean = labels[:train]
    given = np.where(np.arange(train) % 5 < 2, (clean + 1) % 10, clean)
    (root / "cifar10n").mkdir(exist_ok=True)
    torch.save({"clean_label": clean, "worse_label": given}, root / "cifar10n" / "CIFAR-10_human.pt")


def write_image_folder(folder: Path, train: int = 100, test: int = 40, side: int = 32) -> None:
    """Writes `<folder>/{train,test}/<class>/<number>.png`, 3×side×side, of CIFAR-10's ten classes."""
    for seed, (part, count) in enumerate({"train": train, "test": test}.items()):
        for number, (image, label) in enumerate(zip(*random_images(count, side, side, 3, seed), strict=True)):
            path = folder / part / CIFAR_CLASSES[label] / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def write_unlabeled(folder: Path, count: int = 24, side: int = 32) -> None:
    """Writes `<folder>/<number>.png`, 3×side×side."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(random_images(count, side, side, 3, seed=9)[0]):
        Image.fromarray(image).save(folder / f"{number:03}.png")


def write_housing(root: Path, rows: int = 120) -> None:
    """Writes `<root>/california_housing.csv` with the real file's columns, empty cells and words."""
    random = np.random.RandomState(3)
    words = ["NEAR BAY", "INLAND", "<1H OCEAN"]
    lines = [
        "longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population,households,median_income,"
        "median_house_value,ocean_proximity"
    ]
    for row in range(rows):
        income = random.uniform(1, 10)
        bedrooms = "" if row % 10 == 0 else f"{random.randint(50, 900)}.0"
        value = 40000 * income + random.uniform(0, 20000)
        lines.append(
            f"{random.uniform(-124, -114):.2f},{random.uniform(32, 42):.2f},{random.randint(1, 52)}.0,"
            f"{random.randint(100, 5000)}.0,{bedrooms},{random.randint(50, 4000)}.0,{random.randint(50, 900)}.0,"
            f"{income:.4f},{value:.1f},{words[row % 3]}"
        )
    root.mkdir(parents=True, exist_ok=True)
    (root / "california_housing.csv").write_text("\n".join(lines) + "\n")


def write_instances(folder: Path, count: int, side: int = 32, seed: int = 0) -> None:
    """Writes `<folder>/PNGImages/<n>.png` and `<folder>/PedMasks/<n>_mask.png`: bright blocks on dark ground.

    As in real files, the numbers of the objects have gaps, every second mask has a palette, and sizes differ.
    """
    random = np.random.RandomState(seed)
    for name in ("PNGImages", "PedMasks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        mask = np.zeros((side, side + 4 * (number % 3)), np.uint8)
        for place in range(1 + number % 3):
            top, left, height, width = 10 * place, random.randint(12), random.randint(5, 9), random.randint(8, 16)
            mask[top : top + height, left : left + width] = 2 * place + 1
        image = np.where(mask[..., None] > 0, 200, 40) + random.randint(0, 30, (*mask.shape, 3))
        Image.fromarray(image.astype(np.uint8)).save(folder / "PNGImages" / f"{number:02}.png")
        saved = Image.fromarray(mask)
        if number % 2:
            saved.putpalette(list(range(256)) * 3)
        saved.save(folder / "PedMasks" / f"{number:02}_mask.png")
