"""Draws a sheet of what an experiment trains on, without training.

Usage: litzoo show-data --config configs/mnist_noisy.yaml [--data.any_option value]

It takes every option of `litzoo fit`. The sheet goes to `runs/<experiment>/data/`, as PNG and for TensorBoard: samples
of each class with the given and the true label, the classes of every part, and the augmented views; beside it nine
views of one image. Of images with masks it shows these, and augmented views.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from litzoo.callbacks.files import shown
from litzoo.callbacks.reporting.split_summary import print_split
from litzoo.datamodules import ImageDataModule, SegmentationDataModule
from litzoo.scripts.cli.failures import tell_errors
from litzoo.scripts.cli.main import LitzooCLI, run
from litzoo.scripts.data_sheet.classification import draw_nine_views, draw_sheet
from litzoo.scripts.data_sheet.segmentation import draw_segmentation_sheet


class ShowDataCLI(LitzooCLI):
    """Takes the command line of `litzoo fit`, and makes the datamodule alone."""

    def instantiate_classes(self) -> None:
        """Makes the datamodule."""
        self.datamodule = ready_images(self.options.data.as_dict())

    def _run_subcommand(self, subcommand: str) -> None:
        """Trains nothing."""


def ready_images(data: dict[str, Any]) -> ImageDataModule | SegmentationDataModule:
    """Makes a datamodule from the `data` section of a config, downloads, reads and splits.

    Raises:
        ValueError: If the datamodule has no images.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    datamodule = parser.instantiate(parser.parse_object({"data": data})).data
    if not isinstance(datamodule, (ImageDataModule, SegmentationDataModule)):
        raise ValueError(f"--data {type(datamodule).__name__} has no images to show: choose an ImageDataModule")
    datamodule.prepare_data()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    return datamodule


def figures_of(datamodule: ImageDataModule | SegmentationDataModule) -> dict[str, Figure]:
    """Draws all that there is to see of a datamodule; returns name -> figure."""
    if isinstance(datamodule, SegmentationDataModule):
        return {"data_sheet": draw_segmentation_sheet(datamodule)}
    return {"data_sheet": draw_sheet(datamodule), "nine_views": draw_nine_views(datamodule)}


def show_data(arguments: list[str]) -> list[Path]:
    """Draws what a command line asks for.

    Returns:
        The paths of the PNGs.
    """
    cli = run(["fit", *arguments], ShowDataCLI)
    assert isinstance(cli.datamodule, (ImageDataModule, SegmentationDataModule))
    figures = figures_of(cli.datamodule)
    folder = Path(cli.options.trainer.default_root_dir) / cli.options.experiment / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink(missing_ok=True)
    with SummaryWriter(str(folder)) as board:
        for name, figure in figures.items():
            path = folder / f"{name}.png"
            figure.savefig(path)
            with Image.open(path) as drawn:
                board.add_image(name, np.asarray(drawn.convert("RGB")), dataformats="HWC")
    print_split(cli.datamodule.split_report())
    return [folder / f"{name}.png" for name in figures]


def main() -> None:
    """Draws, and says where the images are."""
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    tell_errors(_draw_and_tell)


def _draw_and_tell() -> None:
    for path in show_data(sys.argv[2:]):
        print(f"{path.stem.replace('_', ' '):12} {shown(path.absolute())}")
