"""What had to be decided to decode the files of a data set, each decision with the files that it concerned."""

import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from litzoo.datamodules.io.images import ImageReader

TEXTS = {
    "pages": "{count} have several pages: page {page} is read (data.page; the first is 0)",
    "transparent": "{count} are transparent: composited on the background {background} (data.background)",
    "deep": "{count} have more than 8 bits: values from {low:g} to {high:g} are scaled to 0 to 255 (data.value_range)",
    "clipped": "{count} have values outside of {low:g} to {high:g} (data.value_range), which are clipped",
    "upper bits": "{count} have 16 bits per channel, of which the upper 8 are read; save them as PNG to keep all",
    "turned": "{count} are rotated or mirrored as their EXIF orientation says",
    "cropped": "{count} lose more than half of their area by the crop to data.size; give it their shape, cut them into "
    "several images, or resize them whole (data.original_size, see Size in docs/data.md)",
    "CMYK": "{count} are in CMYK, which is converted",
    "palette": "{count} have a palette, which is converted",
    "grey": "{count} are grey and repeated to three channels (data.grey true reads one channel)",
    "colour": "{count} are in colour and converted to grey",
}
"""Decision -> its description."""
WARNINGS = ("clipped", "upper bits", "cropped")
"""Decisions that lose something."""


class Decisions:
    """Collects the decisions of reading many files, from several threads.

    Attributes:
        total: Number of files read.
        files: Decision, a key of `TEXTS` -> number of files.
        first: Decision -> one of these files, the first one read.
    """

    def __init__(self) -> None:
        self.total = 0
        self.files: dict[str, int] = {}
        self.first: dict[str, Path] = {}
        self._lock = threading.Lock()

    def add(self, path: Path, notes: Collection[str]) -> None:
        """Adds the decisions about a file."""
        with self._lock:
            self.total += 1
            for note in notes:
                self.files[note] = self.files.get(note, 0) + 1
                self.first[note] = min(path, self.first.get(note, path))

    def texts(self, reader: "ImageReader") -> dict[str, str]:
        """Describes each decision with its count, and a file for example if not all files are concerned."""
        low, high = reader.value_range or (0, 65535)
        described = {}
        for note, text in TEXTS.items():
            if count := self.files.get(note):
                files = f"all {count:,} files" if count == self.total else f"{count:,} of {self.total:,} files"
                values = {"page": reader.page, "background": reader.background, "low": low, "high": high}
                example = "" if count == self.total else f", for example {self.first[note]}"
                described[note] = text.format(count=files, **values) + example
        return described

    def report(self, where: str, reader: "ImageReader", page_is_chosen: bool) -> list[str]:
        """Logs each decision once, as a warning if it loses something or treats files of one set differently.

        Args:
            where: Folder and part of the files, for the messages.
            reader: The reader.
            page_is_chosen: Whether the page was asked for; else reading the first of several is a warning.

        Returns:
            The messages, for `splits.json`.
        """
        texts = self.texts(reader)
        for note, text in texts.items():
            mixed = note == "deep" and self.files[note] < self.total
            if note == "pages":
                text += f": {self.first[note]}" if self.files[note] == self.total else ""
            if note in WARNINGS or mixed or (note == "pages" and not page_is_chosen):
                rank_zero_warn(f"{where}: {text}" + ("; the others have 8 bits and stay as they are" if mixed else ""))
            else:
                rank_zero_info(f"{where}: {text}")
        return list(texts.values())
