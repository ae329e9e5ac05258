"""Draws the data of an experiment, without training.

usage: litzoo show-data --config CONFIG [--augmented_folder FOLDER] [--augmented_images 100] [OPTIONS]

CONFIG is a YAML file or a shipped experiment (`litzoo configs` lists them); OPTIONS are those of `litzoo fit`, such as
`--data.seed 1`. It writes PNGs, and the same images for TensorBoard, to `runs/<experiment>/data/`:

  data_sheet   samples of each class (wrong labels with the true class in red), class counts, and augmented views
  nine_views   nine augmented views of one image
  changes      single changes (mirrored, shifted, rotated, blurred, darker, ...) and the transforms that make them

With `--augmented_folder` it also writes augmented training images there, one PNG each, in class folders.

For a data set with masks, `data_sheet` shows the images with their objects, and augmented views.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from litzoo.callbacks.files import display_path
from litzoo.callbacks.reporting.split_summary import print_split
from litzoo.datamodules import ImageDataModule, SegmentationDataModule
from litzoo.scripts.cli.failures import report_errors_or_help
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run
from litzoo.scripts.data_sheet.augmented import save_augmented
from litzoo.scripts.data_sheet.changes import draw_changes
from litzoo.scripts.data_sheet.classification import draw_nine_views, draw_sheet
from litzoo.scripts.data_sheet.segmentation import draw_segmentation_sheet


def main() -> None:
    """Runs `litzoo show-data`."""
    report_errors_or_help(__doc__, _draw_and_print)


def _draw_and_print() -> None:
    for path in show_data(sys.argv[2:]):
        print(f"{path.stem.replace('_', ' '):12} {display_path(path.absolute())}")


def show_data(arguments: list[str]) -> list[Path]:
    """Draws the data that a command line of `litzoo fit` trains on, and prints the split.

    Returns:
        The paths of the PNGs.
    """
    own, arguments = _own_options(arguments)
    cli = run(["fit", *arguments], _ShowDataCLI)
    assert isinstance(cli.datamodule, (ImageDataModule, SegmentationDataModule))
    if own.augmented_folder is not None:
        if not isinstance(cli.datamodule, ImageDataModule):
            raise ValueError("--augmented_folder: images with masks are not written; leave the option out")
        written = save_augmented(cli.datamodule, own.augmented_folder, own.augmented_images)
        print(f"{written} augmented images in {display_path(own.augmented_folder.absolute())}")
    figures = draw_figures(cli.datamodule)
    folder = Path(cli.options.trainer.default_root_dir) / cli.options.experiment / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink(missing_ok=True)
    with SummaryWriter(str(folder)) as writer:
        for name, figure in figures.items():
            path = folder / f"{name}.png"
            figure.savefig(path)
            with Image.open(path) as image:
                writer.add_image(name, np.asarray(image.convert("RGB")), dataformats="HWC")
    print_split(cli.datamodule.split_report())
    return [folder / f"{name}.png" for name in figures]


def _own_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Splits the options of this command from those of `litzoo fit`; raises ValueError for an impossible value."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--augmented_folder", type=Path)
    parser.add_argument("--augmented_images", type=int, default=100)
    try:
        own, others = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error.argument_name}: {error.message}") from error
    if own.augmented_images < 1:
        raise ValueError(f"--augmented_images: {own.augmented_images} is too small; give at least 1")
    return own, others


class _ShowDataCLI(LitzooCLI):
    """Parses the command line of `litzoo fit`, and instantiates only the datamodule."""

    def instantiate_classes(self) -> None:
        """Instantiates and sets up the datamodule."""
        self.datamodule = prepare_datamodule(self.options.data.as_dict())

    def _run_subcommand(self, subcommand: str) -> None:
        """Does not train."""


def prepare_datamodule(data: dict[str, Any]) -> ImageDataModule | SegmentationDataModule:
    """Instantiates a datamodule from the `data` section of a config, downloads the data and sets it up.

    Raises:
        ValueError: If it is not a datamodule of images.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    datamodule = parser.instantiate(parser.parse_object({"data": data})).data
    if not isinstance(datamodule, (ImageDataModule, SegmentationDataModule)):
        raise ValueError(
            f"--data {type(datamodule).__name__} has no images to show; "
            "choose a subclass of ImageDataModule or SegmentationDataModule"
        )
    datamodule.prepare_data()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    return datamodule


def draw_figures(datamodule: ImageDataModule | SegmentationDataModule) -> dict[str, Figure]:
    """Draws all figures of a datamodule; returns name -> figure."""
    if isinstance(datamodule, SegmentationDataModule):
        return {"data_sheet": draw_segmentation_sheet(datamodule)}
    return {
        "data_sheet": draw_sheet(datamodule),
        "nine_views": draw_nine_views(datamodule),
        "changes": draw_changes(datamodule),
    }
