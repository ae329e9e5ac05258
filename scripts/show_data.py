"""Draws a sheet of what an experiment trains on, without training.

Usage: python -m scripts.show_data --config configs/mnist_noisy.yaml [--data.any_option value]

It takes every option of `litzoo fit`. The sheet goes to `runs/<experiment>/data/`, as PNG and for TensorBoard: samples
of each class with the given and the true label, the classes of every part, and the augmented views; of pictures with
masks these and augmented views.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from callbacks.files import shown
from callbacks.split_summary import print_split
from datamodules import ImageDataModule, SegmentationDataModule
from scripts.cli import LitzooCLI, run
from scripts.data_sheet import draw_sheet
from scripts.failures import tell_errors


class ShowDataCLI(LitzooCLI):
    """Takes the command line of `litzoo fit`, and makes the datamodule alone."""

    def instantiate_classes(self) -> None:
        """Makes the datamodule."""
        self.datamodule = ready_pictures(self.options.data.as_dict())

    def _run_subcommand(self, subcommand: str) -> None:
        """Trains nothing."""


def ready_pictures(data: dict[str, Any]) -> ImageDataModule | SegmentationDataModule:
    """Makes a datamodule from the `data` section of a config, downloads, reads and splits.

    Raises:
        ValueError: If the datamodule has no pictures.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    datamodule = parser.instantiate(parser.parse_object({"data": data})).data
    if not isinstance(datamodule, (ImageDataModule, SegmentationDataModule)):
        raise ValueError(f"--data {type(datamodule).__name__} has no pictures to show: choose an ImageDataModule")
    datamodule.prepare_data()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    return datamodule


def show_data(arguments: list[str]) -> Path:
    """Draws the sheet that a command line asks for.

    Returns:
        The path of the PNG.
    """
    cli = run(["fit", *arguments], ShowDataCLI)
    assert isinstance(cli.datamodule, (ImageDataModule, SegmentationDataModule))
    figure = draw_sheet(cli.datamodule)
    folder = Path(cli.options.trainer.default_root_dir) / cli.options.experiment / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink(missing_ok=True)
    path = folder / "data_sheet.png"
    figure.savefig(path)
    with SummaryWriter(str(folder)) as board, Image.open(path) as sheet:
        board.add_image("data_sheet", np.asarray(sheet.convert("RGB")), dataformats="HWC")
    print_split(cli.datamodule.split_report())
    return path


def main() -> None:
    """Draws, and says where the sheet is."""
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    tell_errors(lambda: print(f"data sheet   {shown(show_data(sys.argv[1:]).absolute())}"))


if __name__ == "__main__":
    main()
