"""Times the sources' recipe for CIFAR-10: a ResNet-18, trained for 50 epochs in float32 on images read one by one.

Usage: python -m litzoo.scripts.benchmarks.source_recipes [--epochs 2] [--samples 50000]

Trains a few epochs and writes the seconds of one to docs/results/source_recipes.json; README.md shows them multiplied
by 50. Two epochs take about half an hour on two cores. Run it on an otherwise idle machine.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms import v2

from litzoo.callbacks.files import write_json
from litzoo.datamodules import CIFAR10DataModule
from litzoo.lit_modules.networks import ResNet
from litzoo.scripts.benchmarks.harness import environment, format_environment
from litzoo.scripts.benchmarks.training_loops import bare_epoch

RESULT = Path("docs/results/source_recipes.json")
EPOCHS = 50
BATCH_SIZE = 128


class SingleImages(Dataset[tuple[Tensor, int]]):
    """Images `[N, C, H, W]`, each transformed when it is asked for, as torchvision's data sets do.

    Args:
        images: uint8 `[N, C, H, W]`.
        labels: int64 `[N]`.
        datamodule: Where mean and standard deviation come from.
    """

    def __init__(self, images: Tensor, labels: Tensor, datamodule: CIFAR10DataModule) -> None:
        self.images, self.labels = [v2.functional.to_pil_image(image) for image in images], labels.tolist()
        self.transform = v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(datamodule.mean, datamodule.std)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def seconds_of_epochs(dataset: Dataset[Any], net: torch.nn.Module, epochs: int) -> list[float]:
    """Trains a network by stochastic gradient descent in float32; returns the seconds of each epoch."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loader = DataLoader(dataset, BATCH_SIZE, shuffle=True)
    return [bare_epoch(net, optimizer, loader, autocast=False) for _ in range(epochs)]


def main() -> None:
    """Times the recipe and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2, help="epochs to train (default: 2)")
    parser.add_argument("--samples", type=int, default=50_000, help="training images; the time is scaled up to all")
    arguments = parser.parse_args()
    datamodule = CIFAR10DataModule()
    images, labels = datamodule.read(train=True)
    used = torch.randperm(len(images))[: arguments.samples].tolist()
    dataset = Subset(SingleImages(images, labels, datamodule), used)
    seconds = seconds_of_epochs(dataset, ResNet((3, 32, 32), 10), arguments.epochs)
    measured = environment()
    of_all = statistics.mean(seconds) * len(images) / len(used)
    recipe = {"epochs": EPOCHS, "seconds": seconds, "samples": len(used), "seconds_per_epoch": of_all}
    content = {**measured, "environment": format_environment(measured), "recipes": {"cifar10_resnet18": recipe}}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULT, content)
    print(f"{of_all:.0f} s an epoch, {of_all * EPOCHS / 3600:.1f} h in all")


if __name__ == "__main__":
    main()
