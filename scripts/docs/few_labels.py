"""Cuts a small problem with few labels from MNIST, as plain folders of image files.

Usage: python -m litzoo.scripts.docs.few_labels [--to FOLDER] [--root FOLDER_OF_MNIST]

Writes 60 labeled images, 50 for training (`labeled/train/<digit>/`) and 10 for validation (`labeled/val/<digit>/`),
2,000 labeled test images (`labeled/test/<digit>/`) and 2,000 images without labels (`unlabeled/`). The experiments
`folder_60_supervised` and `folder_60_fixmatch` read them.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from litzoo.datamodules import MNISTDataModule
from litzoo.datamodules.io.paths import data_root
from litzoo.datamodules.splits.core import split_train_val

LABELED, VALIDATED, UNLABELED, TESTED = 60, 10, 2000, 2000


def cut(source: MNISTDataModule, folder: Path, labeled: int, validated: int, unlabeled: int, tested: int) -> None:
    """Writes the images, drawn without replacement; labeled ones, and validation ones, have equally many of each digit.

    Raises:
        FileExistsError: If the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; remove it, or name another folder with --to")
    images, labels = source.read(train=True)
    order = np.random.RandomState(0).permutation(len(images))
    of_class = [order[labels.numpy()[order] == digit] for digit in range(10)]
    chosen = np.concatenate([np.sort(each[: labeled // 10]) for each in of_class])
    split = split_train_val(labels[chosen], None, validated, seed=0)
    temporary = folder.with_name(f".{folder.name}.incomplete")
    shutil.rmtree(temporary, ignore_errors=True)
    for part, positions in {"train": chosen[split.train], "val": chosen[split.val]}.items():
        for position in positions.tolist():
            _save(images[position], temporary / "labeled" / part / str(int(labels[position])) / f"{position:05}.png")
    for position in order[~np.isin(order, chosen)][:unlabeled].tolist():
        _save(images[position], temporary / "unlabeled" / f"{position:05}.png")
    images, labels = source.read(train=False)
    for position in np.random.RandomState(1).permutation(len(images))[:tested].tolist():
        _save(images[position], temporary / "labeled" / "test" / str(int(labels[position])) / f"{position:05}.png")
    temporary.rename(folder)


def _save(image: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[0].numpy()).save(path)


def main() -> None:
    """Reads the arguments and writes the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, help="folder to write; default: few_digits in the folder of the data")
    parser.add_argument("--root", help="folder that holds MNIST; default: LITZOO_DATA_DIR, else data")
    arguments = parser.parse_args()
    folder = arguments.to or data_root(arguments.root) / "few_digits"  # where the experiments look for it
    cut(MNISTDataModule(root=arguments.root), folder, LABELED, VALIDATED, UNLABELED, TESTED)


if __name__ == "__main__":
    main()
