"""How the datamodule of an image folder takes over the reading and the samples that a checkpoint has recorded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.io.images import ImageReader, ImagesOnDisk
from litzoo.datamodules.splits.recorded import RecordedSamples

if TYPE_CHECKING:
    from litzoo.datamodules.images.image_folder import ImageFolderDataModule


def restore_reading(data: "ImageFolderDataModule", state: Mapping[str, Any]) -> dict[str, IndexedDataset]:
    """Takes over the range of values of a checkpoint's training.

    Returns:
        The sets that have been read in another range, by the stage that reads them.
    """
    saved = state.get("images", {}).get("reading")
    changed = saved is not None and data.folder_reading.restore(ImageReader.from_state(saved))
    if data.new_set is not None and isinstance(data.new_set.inputs, ImagesOnDisk):
        data.new_set.inputs.reader = data.new_reader
    return {stage: part for stage, part in _sets_of(data).items() if part is not None} if changed else {}


def read_again(data: "ImageFolderDataModule", outdated: Mapping[str, IndexedDataset]) -> None:
    """Reads sets again, unless that has been done."""
    stages = [stage for stage, part in outdated.items() if _sets_of(data)[stage] is part]
    if "validate" in stages:
        data.train_set = data.val_set = data.unlabeled_set = None
    if "test" in stages:
        data.test_set = None
    for stage in stages:
        data.setup(stage)


def restore_samples(data: "ImageFolderDataModule", state: Mapping[str, Any]) -> None:
    """Takes over the samples of a checkpoint, which are found again wherever they are.

    Raises:
        ValueError: If options of the split differ, or labels have changed.
    """
    recorded = RecordedSamples.from_state(state["samples"])
    data.check_options(state)
    fitting, testing = data.train_set is not None, data.test_set is not None
    if fitting and testing and data.record()[:3] == recorded[:3]:  # without the small versions
        _require_same_labels(data, state)
        return
    data.folder_files.restore(recorded)
    if not fitting and data.folder_files.has_test:  # test images of their own stay as they are
        return
    data.split = data.targets = data.train_set = data.val_set = data.unlabeled_set = data.test_set = None
    if fitting:
        data.setup("fit" if testing else "validate")
        _require_same_labels(data, state)
    elif testing:
        data.setup("test")


def _sets_of(data: "ImageFolderDataModule") -> dict[str, IndexedDataset | None]:
    return {"validate": data.train_set, "test": data.test_set}


def _require_same_labels(data: "ImageFolderDataModule", state: Mapping[str, Any]) -> None:
    corrected = "" if data.applied_corrections is None else f", or those in {data.applied_corrections.file},"
    if data.fingerprint() != state["fingerprint"]:
        raise ValueError(
            f"the labels in {data.folder}{corrected} have changed since the checkpoint was saved (fingerprint "
            f"{state['fingerprint']}, here {data.fingerprint()}): start a new run, which keeps every image in its "
            "part, or use the checkpoint with `litzoo test`"
        )
