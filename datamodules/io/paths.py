"""The data folder, and checks of paths before they are opened."""

import os
import stat
from pathlib import Path


def data_root(root: str | None) -> Path:
    """Returns the data folder: `root`, else the environment variable `LITZOO_DATA_DIR`, else `data`.

    Raises:
        ValueError: If `root` is not a valid path.
    """
    if root is not None and (not root or "\0" in root):
        raise ValueError(f"data.root: {root!r} is not a path of a folder; name one, or leave the option out")
    return Path(root or os.environ.get("LITZOO_DATA_DIR") or "data").expanduser()


def require_within(path: Path, root: Path) -> None:
    """Checks that a path, with all links resolved, is within a folder.

    Raises:
        ValueError: If it is not; the message names both paths and the fix.
    """
    real = os.path.realpath(path)
    if not Path(real).is_relative_to(os.path.realpath(root)):
        leads = "is a link to" if path.is_symlink() else "is"
        raise ValueError(
            f"{path} {leads} {real}, outside of data.root, {root}: copy it there, or set --data.root or "
            "LITZOO_DATA_DIR to a folder that holds both"
        )


def require_file(path: Path) -> None:
    """Checks that a path is a regular file: opening a pipe would block, and reading some devices never ends.

    Raises:
        OSError: If it is not, or absent.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
