"""The files of an image folder: where they are, which set each belongs to, what is left out, and what is said of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image, ImageOps
from torch import Tensor

from litzoo.datamodules.counted import counted
from litzoo.datamodules.images.folders.samples import FolderSamples, Samples
from litzoo.datamodules.io.class_folders import images_in
from litzoo.datamodules.io.decoding import formats, to_convert
from litzoo.datamodules.io.image_layouts import ClassFolders, ImageLayout
from litzoo.datamodules.io.label_files import LabelFile
from litzoo.datamodules.io.paths import find_path, require_file
from litzoo.datamodules.splits.folds import Fold
from litzoo.datamodules.splits.recorded import RecordedSamples

HELD_OUT = 0.2
"""Fraction of the images in a test set that is drawn, unless an option says otherwise."""
SHOWN = 10
"""Files that a message names."""


class FolderFiles:
    """Finds the files of an image folder, and reports what is left out of them.

    Args:
        folder: Folder of the images, looked up in the working folder, then in `root`.
        labels_file: CSV file of the labels; `None` for class folders.
        unlabeled_folder: Folder of images without labels, if there is one.
        root: Folder of the data.
        corrupt: `refuse` or `skip` files that are named, but absent.
        test_size: Size of the test set where it is drawn; `None` for `HELD_OUT`.

    Raises:
        FileNotFoundError: If there is no such folder or file.
        ValueError: If the folder cannot be used in this way.

    Attributes:
        folder: Path of the folder.
        layout: The labeled files.
        pool_folder: Path of the folder of images without labels.
        pool: Images without labels.
        left_out: Reason or part -> names of files that are left out of it.
    """

    def __init__(
        self,
        folder: str,
        labels_file: str | None,
        unlabeled_folder: str | None,
        root: Path,
        corrupt: Literal["refuse", "skip"],
        test_size: int | float | None,
    ) -> None:
        if corrupt not in ("refuse", "skip"):
            raise ValueError(f"data.corrupt: {corrupt!r} is not one of refuse, skip")
        if not folder:
            raise ValueError("data.folder: is empty; name a folder that holds class folders")
        if test_size is not None and (not isinstance(test_size, (int, float)) or test_size <= 0):
            raise ValueError(f"data.test_size: {test_size}; give a count of at least 1, or a fraction above 0")
        self.folder = find_path(folder, root)
        self.layout: ImageLayout
        if labels_file is None:
            self.layout = ClassFolders(self.folder)
        else:
            place = find_path(labels_file, root, self.folder)
            self.layout = LabelFile(place, self.folder, skip_absent=corrupt == "skip")
        if test_size is not None and self.has_test:
            raise ValueError(
                f"data.test_size: {test_size}, but {self.folder} has test images of its own; leave the option out"
            )
        self.left_out: dict[str, list[str]] = {}
        self.pool_folder = None if unlabeled_folder is None else find_path(unlabeled_folder, root)
        others: list[Path] = []
        self.pool = [] if self.pool_folder is None else _pool_files(self.pool_folder, others)
        if others:
            self.leave_out(
                "no images, in unlabeled_folder", list(map(self.name, others)), f"no images, in {self.pool_folder}"
            )
        self._is_restored = self._resumed = False
        self._reported_copies: list[str] = []
        self._test_size = HELD_OUT if test_size is None else test_size
        self._samples: FolderSamples
        self._assigned: dict[bool, tuple[Samples, Samples]] = {}

    @property
    def by_content(self) -> bool:
        """Whether a part is drawn by the content of the files, since there are no validation or no test files."""
        return not {"val", "test"} <= {*self.layout.parts}

    @property
    def has_test(self) -> bool:
        """Whether there are test files, so that no test set is drawn."""
        return "test" in self.layout.parts

    def drawn(self, val_size: int | float | Fold) -> str:
        """Returns what is drawn by content, in words; empty if nothing is."""
        if not self.has_test:
            return "each sample's part"
        return "a sample's part, training or validation," if val_size and "val" not in self.layout.parts else ""

    def assign_by(
        self,
        val_size: int | float | Fold,
        seed: int,
        known: Collection[int],
        thumbnail: Callable[[Path], Tensor] | None,
        corrected: Callable[[], Mapping[str, str | None]] = dict,
    ) -> None:
        """Sets what else decides the parts; see `FolderSamples`."""
        self._samples = FolderSamples(
            self.layout, self.pool, self._test_size, val_size, seed, known, thumbnail, self.name, corrected
        )

    def first_size(self) -> tuple[int, int]:
        """Returns height and width of the first training image.

        Raises:
            ValueError: If it cannot be read.
        """
        first = self.layout.files("train")[0][0]
        try:
            require_file(first)
            with Image.open(first, formats=formats()) as file:
                image = ImageOps.exif_transpose(file)
        except Exception as error:
            raise ValueError(f"{first} cannot be read as an image: {error}; remove it, or set data.size") from error
        return image.height, image.width

    def name(self, path: Path) -> str:
        """Returns the name of a file relative to the folder of labeled or of unlabeled images."""
        for folder in (self.folder, self.pool_folder):
            if folder is not None and path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return path.as_posix()

    def files(self, train: bool) -> tuple[list[Path], Tensor]:
        """Lists the files of the full training set or the test set, and their labels."""
        if train or not self.has_test:
            samples = self.assignment()[0 if train else 1]
            return samples.paths, samples.labels
        files = self.layout.files("test")
        self._report_layout()
        return files

    def training_files(self) -> list[Path]:
        """Lists the files of the full training set, if possible without reading them: copies may be among them."""
        return self._samples.listed_training() if self.has_test else self.files(train=True)[0]

    def assignment(self) -> tuple[Samples, Samples]:
        """Returns the samples of the full training set and of the test set; reports omissions."""
        if self._resumed not in self._assigned:
            self._assigned[self._resumed] = self._samples.assign(self._resumed)
            self._report_layout()
            self._report_samples()
        return self._assigned[self._resumed]

    def restore(self, recorded: RecordedSamples) -> None:
        """Assigns the files anew, by the samples that a checkpoint has recorded."""
        self._is_restored = True
        self._samples.recorded = recorded
        self._assigned.clear()
        if self.has_test:
            self._samples.find_copies(self._samples.test_files(), recorded.trained_on())
            self._report_copies()

    def resume(self) -> None:
        """From now on, recorded samples are used and no others, if there are any: for a training."""
        self._resumed = self._is_restored

    def record(self, kept: Sequence[int], dropped: Sequence[int] = ()) -> RecordedSamples:
        """Returns what a checkpoint records: the training samples at positions `kept`, and the test set.

        Args:
            kept: Positions of the samples that can be read, among those of the assignment.
            dropped: Which of these, by their order, corrections drop.
        """
        samples, tested = self.assignment()
        assert samples.ids is not None
        assert tested.ids is not None
        paths = [samples.paths[each] for each in kept]
        small = self._samples.recorded_thumbnails(paths)
        ids = [samples.ids[each] for each in kept]
        return RecordedSamples(ids, list(map(self.name, paths)), tested.ids, small, [ids[each] for each in dropped])

    def leave_out(self, part: str, names: list[str], reason: str, total: int | None = None) -> None:
        """Lists files as left out, and warns of them; `total` is the number of files that they are of."""
        self.left_out[part] = names
        named = ", ".join(names[:SHOWN]) + (" and others, listed in splits.json" if names[SHOWN:] else "")
        left = counted(len(names), "file is left out", "files are left out")
        if total is not None:
            left = f"{len(names)} of {total} files are left out"
        rank_zero_warn(f"{left}: {named} ({reason}){to_convert(names)}")

    def all_left_out(self) -> list[str]:
        """Returns the names of files that are left out, such as damaged ones and copies."""
        copies = [self.name(path) for path in self._samples.duplicates]
        return [*copies, *(name for part, names in self.left_out.items() if part != "duplicates" for name in names)]

    def _report_layout(self) -> None:
        for reason, names in self.layout.left_out.items():
            if reason not in self.left_out:
                self.leave_out(reason, names, f"{reason}, in {self.folder}")

    def _report_samples(self) -> None:
        samples = self._samples
        if copies := samples.duplicates:
            pairs = {path: f"{self.name(path)} (like {self.name(other)})" for path, other in copies.items()}
            for path, (own, other) in samples.contradicted.items():
                pairs[path] = f"{pairs[path][:-1]}; labelled {own}, not {other})"
            self.leave_out(
                "duplicates",
                sorted(pairs.values()),
                "copies of images in another part; data.near_duplicates keep leaves out exact ones only",
            )
            self._report_contradicted()
        if disputed := [self.name(path) for path in samples.disputed]:
            rank_zero_warn(
                f"{counted(len(disputed), 'file has', 'files have')} a copy with another label: "
                f"{', '.join(disputed[:SHOWN])}"
                f"{', …' if disputed[SHOWN:] else ''} (in {self.folder}); keep one of each, with the right label"
            )
        self._report_copies()
        if gone := samples.unrecognised:
            rank_zero_warn(
                f"{gone[0]:,} of the {gone[1]:,} images that the checkpoint was trained on are no longer in "
                f"{self.folder}, and {gone[2]:,} of {gone[3]:,} test images are new: if images were encoded anew, "
                "the test set contains images that it was trained on, which cannot be recognised without the small "
                "versions that a checkpoint records of up to about 20,000 images with data.near_duplicates "
                "leave_out; test the images of the training"
            )
        if waiting := [self.name(path) for path in samples.waiting]:
            self.leave_out("new", waiting, "new since the checkpoint; they wait for a new run")
        if trained_on := [self.name(path) for path in samples.trained_on]:
            self.leave_out(
                "trained on", trained_on, "would be tested, but the checkpoint was trained on them or a copy"
            )

    def _report_contradicted(self) -> None:
        samples, found = self._samples, []
        for path, (own, other) in samples.contradicted.items():
            found.append(f"{self.name(path)} ({own}) like {self.name(samples.duplicates[path])} ({other})")
        if found:
            one, more = (f"of these {verb} another label than the copy that stayed" for verb in ("has", "have"))
            rank_zero_warn(
                f"{counted(len(found), one, more)}: {', '.join(sorted(found)[:SHOWN])}"
                f"{', …' if found[SHOWN:] else ''} (in {self.folder}); if the label that stayed is wrong, relabel or "
                "drop that file with data.corrections: a copy of a dropped file is used again, in its own part"
            )

    def _report_copies(self) -> None:
        copies = [self.name(path) for path in self._samples.also_trained]
        if copies and copies != self._reported_copies:
            self._reported_copies = copies
            one, more = "test image is a copy of a training image", "test images are copies of training images"
            rank_zero_warn(
                f"{counted(len(copies), one, more)}: {', '.join(copies[:SHOWN])}"
                f"{', …' if copies[SHOWN:] else ''} (in {self.folder}); results there are too good; remove them from "
                "the training or the test images"
            )


def _pool_files(folder: Path, others: list[Path]) -> list[Path]:
    if not folder.is_dir() or not (files := images_in(folder, others)):
        raise FileNotFoundError(
            f"data.unlabeled_folder: {folder} {'holds no image' if folder.is_dir() else 'is not a folder'}; it is "
            f"looked up in the working folder, then in data.root{to_convert(map(str, others))}"
        )
    return files
