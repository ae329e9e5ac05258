from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.io.class_folders import new_images
from litzoo.datamodules.segmentation.dataset import AnnotatedImage, NewImages, SegmentationDataset
from litzoo.datamodules.splits.core import split_train_val
from litzoo.datamodules.transforms.copy_paste import with_pasted
from litzoo.datamodules.transforms.masks import MASK_AUGMENTATIONS, Outlined, augmented, boxes_around


class SegmentationDataModule(BaseDataModule):
    """Images with a mask and a class for every object in them; `DetectionBatch` says what is served.

    Images may differ in size. They stay in memory as uint8; scaling and augmentation happen on the device.
    Subclasses fill in `class_names` and `read`.

    Args:
        augment: Random changes to training images and their masks, drawn for each of them: `mirror` (left and right),
            `turn` (mirrored, and by a multiple of 90 degrees, where no side is up); `mirror_vary` and `turn_vary` also
            shift by up to a tenth, scale by 0.8 to 1.25, and change brightness and contrast by up to 30 %.
        copy_paste: Whether each training image also gets objects of another one in its batch, once both are
            augmented (Ghiasi et al. 2021). The last one, if it is alone in its batch, gets none.
        predict_folder: Folder of images of any sizes, wherever it is, that `predict` looks at instead of the test
            images.
        batch_size: Images in a training batch (on each device).
        eval_batch_size: Images in a validation, test or prediction batch.
        **options: See `BaseDataModule`; `train_size` and `val_size` count images.

    Raises:
        ValueError: If `augment` is none of those, or `copy_paste` is asked for in batches of one image.

    Attributes:
        class_names: Of the objects; the background is none of them.
    """

    class_names: tuple[str, ...]

    def __init__(
        self,
        augment: Literal["none", "mirror", "mirror_vary", "turn", "turn_vary"] = "none",
        copy_paste: bool = False,
        predict_folder: str | None = None,
        batch_size: int = 2,
        eval_batch_size: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, **options)
        if augment not in MASK_AUGMENTATIONS:
            raise ValueError(f"data.augment: {augment!r} is none of {', '.join(MASK_AUGMENTATIONS)}")
        if copy_paste and batch_size < 2:
            raise ValueError(
                f"data.copy_paste: in batches of {batch_size} there is no other image; give data.batch_size 2"
            )
        self.augment, self.copy_paste, self.predict_folder = augment, copy_paste, predict_folder
        self.augmentation = MASK_AUGMENTATIONS[augment]()
        self._samples: Sequence[AnnotatedImage] = ()

    @property
    def num_classes(self) -> int:
        """How many classes objects have; the background is not counted."""
        return len(self.class_names)

    @abstractmethod
    def read(self, train: bool) -> Sequence[AnnotatedImage]:
        """Returns all images of a part, each with an object at least."""

    def find_split(self) -> None:
        """Reads the training images, whose numbers of objects are the targets, and draws the split."""
        if self.split is None:
            self._samples = self.read(train=True)
            self.targets = torch.tensor([float(len(sample.labels)) for sample in self._samples])
            self.split = split_train_val(self.targets, self.train_size, self.val_size, self.seed)

    def setup(self, stage: str) -> None:
        """Reads what `stage` needs, and for fitting the test images too: damage is found before training."""
        if stage == "predict" and self.predict_folder is not None:
            paths, self.files["predict"] = new_images(self.predict_folder)
            self.new_set = SegmentationDataset(NewImages(paths))
            return
        if stage in ("fit", "validate") and self.train_set is None:
            self.find_split()
            assert self.split is not None
            self.train_set = SegmentationDataset(self._samples, self.split.train)
            self.val_set = SegmentationDataset(self._samples, self.split.val)
        if stage != "validate" and self.test_set is None:
            self.test_set = SegmentationDataset(self.read(train=False))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augments (in training) and scales the images of a batch, on its device."""
        if self.trainer is not None and self.trainer.training:
            pairs = zip(batch["input"], batch["target"], strict=True)
            samples = self.as_trained([Outlined(image, target["labels"], target["masks"]) for image, target in pairs])
            batch["input"] = [sample.image for sample in samples]
            batch["target"] = [{"labels": sample.labels, "masks": sample.masks} for sample in samples]
        return self.as_evaluated(batch)

    def as_trained(self, samples: Sequence[Outlined]) -> list[Outlined]:
        """Returns the images of a batch augmented, and with objects of each other if that is asked for."""
        changed = [augmented(self.augmentation, sample) for sample in samples]
        if not self.copy_paste:
            return changed
        return [with_pasted(sample, changed[place - 1]) for place, sample in enumerate(changed)]

    def as_evaluated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns a batch with its images from 0 to 1, and boxes around the masks."""
        return {
            "index": batch["index"],
            "input": [image.float() / 255 for image in batch["input"]],
            "target": [{"boxes": boxes_around(each["masks"]), **each} for each in batch["target"]],
        }

    def image_with_objects(self, part: Literal["train", "val"], position: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns an image of a part, float32 `[3, H, W]` from 0 to 1, and its `DetectionTarget`, for figures."""
        rows = self.train_set if part == "train" else self.val_set
        assert rows is not None
        served: Any = rows.__getitems__([position])
        batch = self.as_evaluated(served)
        return batch["input"][0], batch["target"][0]

    def split_report(self) -> dict[str, Any]:
        """Adds the number of objects in each part that has been read."""
        report = super().split_report()
        sets = {"train": self.train_set, "val": self.val_set, "test": self.test_set}
        objects = {
            name: sum(len(part.samples[position].labels) for position in part.indices.tolist())
            for name, part in sets.items()
            if isinstance(part, SegmentationDataset)
        }
        return report | {"objects": objects, "class_names": list(self.class_names)}
