"""The data folder, and checks of paths before they are opened."""

import os
import stat
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn


def data_root(root: str | None) -> Path:
    """Returns the data folder: `root`, else the environment variable `LITZOO_DATA_DIR`, else `data`.

    Raises:
        ValueError: If `root` is not a valid path.
    """
    if root is not None and (not root or "\0" in root):
        raise ValueError(f"data.root: {root!r} is not a path of a folder; name one, or leave the option out")
    return Path(root or os.environ.get("LITZOO_DATA_DIR") or "data").expanduser()


def find_path(given: str | Path, *places: Path) -> Path:
    """Resolves the path that an option names: relative to the working folder if it exists there, else to a place.

    Args:
        given: A path; `~` is expanded.
        places: Folders to look in after the working folder. The first is assumed if the path exists nowhere.
    """
    path = Path(given).expanduser()
    if path.is_absolute():
        return path
    found = [each for each in (path, *(place / path for place in places)) if each.exists()]
    if len(found) > 1 and not found[0].samefile(found[1]):
        rank_zero_warn(f"{found[0]} in the working folder is used, not {found[1]}; give an absolute path to choose")
    return found[0] if found else places[0] / path


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
