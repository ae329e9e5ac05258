from collections.abc import Sequence
from functools import cache
from typing import Any

from datamodules.drawn_shapes import SHAPES, draw_shapes
from datamodules.segmentation import SegmentationDataModule
from datamodules.segmentation_dataset import AnnotatedPicture

TEST_PICTURES = 100


class ShapesDataModule(SegmentationDataModule):
    """Drawn pictures of overlapping circles, squares and triangles with exact masks: nothing to download.

    Every picture is a function of its number alone, whatever the seed: 2 to 6 shapes of any colour, shaded and noisy,
    on a background with a gradient. A shape in front hides what is behind it, of which 65 % at least stay in sight; a
    mask holds what can be seen. 100 pictures of their own are the test set.

    Args:
        pictures: In the full training set.
        side: Height and width in pixels.
        **options: See `SegmentationDataModule` and `BaseDataModule`; `root` is not used.

    Raises:
        ValueError: If there are fewer than two pictures, or they are smaller than 32 pixels.
    """

    class_names = SHAPES
    split_by = (*SegmentationDataModule.split_by, "pictures", "side")

    def __init__(self, pictures: int = 200, side: int = 96, **options: Any) -> None:
        for name, value, least in [("pictures", pictures, 2), ("side", side, 32)]:
            if value < least:
                raise ValueError(f"data.{name}: {value} is too small; give at least {least}")
        super().__init__(**options)
        self.pictures, self.side = pictures, side

    def read(self, train: bool) -> Sequence[AnnotatedPicture]:
        """Draws all pictures of a part."""
        return _drawn(0, self.pictures, self.side) if train else _drawn(1, TEST_PICTURES, self.side)


@cache
def _drawn(part: int, count: int, side: int) -> Sequence[AnnotatedPicture]:
    return [draw_shapes(part, number, side) for number in range(count)]
