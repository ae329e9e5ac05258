"""Writes tiny genuine files of KMNIST, EMNIST, SVHN and CIFAR-100."""

import pickle
from pathlib import Path

import numpy as np
import torch
from scipy.io import savemat

from litzoo.datamodules import CIFAR100DataModule
from tests.data.builders import write_idx

SUBSETS = {"balanced": 47, "letters": 26, "digits": 10}


def write_emnist(root: Path, train: int = 120, test: int = 60) -> None:
    """Writes `<root>/EMNIST/raw`: images turned on their side, and labels of `letters` that begin at 1."""
    for seed, (subset, classes) in enumerate(SUBSETS.items()):
        for part, count in {"train": train, "test": test}.items():
            random = np.random.RandomState(seed + count)
            name = root / "EMNIST" / "raw" / f"emnist-{subset}-{part}"
            write_idx(Path(f"{name}-images-idx3-ubyte"), random.randint(0, 256, (count, 28, 28)))
            labels = random.permutation(np.arange(count) % classes) + (subset == "letters")
            write_idx(Path(f"{name}-labels-idx1-ubyte"), labels)


def write_svhn(folder: Path, train: int = 60, test: int = 30) -> None:
    """Writes `{train,test}_32x32.mat`, with labels 1 to 10, of which 10 is the digit 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in {"train": train, "test": test}.items():
        random = np.random.RandomState(count)
        labels = (random.permutation(np.arange(count) % 10) + 1).astype(np.uint8)[:, None]
        images = random.randint(0, 256, (32, 32, 3, count), dtype=np.uint8)
        savemat(folder / f"{part}_32x32.mat", {"X": images, "y": labels})


def write_cifar100(root: Path, train: int = 1000, test: int = 100) -> None:
    """Writes `<root>/cifar-100-python`, whose checksums are not the original's, and CIFAR-100N's file."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in {"train": train, "test": test}.items():
        random = np.random.RandomState(count)
        fine = random.permutation(np.arange(count) % 100).tolist()
        rows = random.randint(0, 256, (count, 3072), dtype=np.uint8)
        content = {"data": rows, "fine_labels": fine, "coarse_labels": [label // 5 for label in fine]}
        (folder / part).write_bytes(pickle.dumps(content))
        if part == "train":
            clean = np.array(fine)
            noisy = np.where(np.arange(count) % 5 < 2, (clean + 1) % 100, clean)
            coarse = {"clean_coarse_label": clean // 5, "noisy_coarse_label": noisy // 5}
            (root / "cifar10n").mkdir(exist_ok=True)
            file = root / "cifar10n" / "CIFAR-100_human.pt"
            torch.save({"clean_label": clean, "noisy_label": noisy, **coarse}, file)
    names = list(CIFAR100DataModule.class_names)
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
