"""The content of image files, for finding copies: a hash of their bytes, and small versions of the images."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from litzoo.datamodules.io.decoding import DamagedImageError, open_image
from litzoo.datamodules.io.paths import require_file
from litzoo.datamodules.io.threads import in_threads
from litzoo.datamodules.splits.membership import content_id

_CHUNK = 1000


class FileContents:
    """Reads content ids and small versions of files, each once.

    Args:
        thumbnail: Reads the small version of an image, uint8 `[C, h, w]`; `None` if there are none.
        name: Returns the name of a file, for the ids of damaged ones.
    """

    def __init__(self, thumbnail: Callable[[Path], Tensor] | None, name: Callable[[Path], str] = Path.as_posix) -> None:
        self.thumbnail, self.name = thumbnail, name
        self._ids: dict[Path, str] = {}
        self._thumbnails: dict[Path, Tensor] = {}

    def ids(self, paths: Sequence[Path]) -> list[str]:
        """Returns the content ids of files.

        A file that cannot be read has one of its name, and so have copies that cannot be decoded, such as empty files.
        """
        new = [path for path in paths if path not in self._ids]
        self._ids |= zip(new, in_threads(self._id_of_file, new), strict=True)
        counts = Counter(self._ids.values())
        one_of = {self._ids[path]: path for path in new if counts[self._ids[path]] > 1}
        readable = dict(zip(one_of, in_threads(_is_readable, list(one_of.values())), strict=True))
        self._ids |= {path: self._id_of_name(path) for path in new if not readable.get(self._ids[path], True)}
        return [self._ids[path] for path in paths]

    def small_images(self, paths: Sequence[Path]) -> Tensor:
        """Returns the small versions of files, uint8 `[n, C, h, w]`."""
        assert self.thumbnail is not None
        new = [path for path in paths if path not in self._thumbnails]
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            self._thumbnails |= zip(chunk, in_threads(self.thumbnail, chunk), strict=True)
        return torch.stack([self._thumbnails[path] for path in paths])

    def known_small_images(self, paths: Sequence[Path], most_bytes: int) -> Tensor | None:
        """Returns the small versions of files if all have been read, and they are not too large."""
        if self.thumbnail is None or not paths or any(path not in self._thumbnails for path in paths):
            return None
        size = len(paths) * self._thumbnails[paths[0]].numel()
        return self.small_images(paths) if size <= most_bytes else None

    def _id_of_file(self, path: Path) -> str:
        try:
            require_file(path)
            return content_id(path.read_bytes())
        except OSError:  # whoever reads it reports the damage
            return self._id_of_name(path)

    def _id_of_name(self, path: Path) -> str:
        return content_id(b"unreadable " + os.fsencode(self.name(path)))


def _is_readable(path: Path) -> bool:
    try:
        open_image(path, None)
    except DamagedImageError:
        return False
    return True
