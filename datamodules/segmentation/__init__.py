"""Data sets for instance segmentation: images with a mask for each object."""

from litzoo.datamodules.segmentation.base import SegmentationDataModule
from litzoo.datamodules.segmentation.penn_fudan import PennFudanDataModule
from litzoo.datamodules.segmentation.shapes import ShapesDataModule

__all__ = ["PennFudanDataModule", "SegmentationDataModule", "ShapesDataModule"]
