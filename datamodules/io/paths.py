import os
import stat
from pathlib import Path


def data_root(root: str | None) -> Path:
    """Returns the folder of the data: the one given, else the environment's, else `data`.

    Raises:
        ValueError: If it is no name of a folder.
    """
    if root is not None and (not root or "\0" in root):
        raise ValueError(f"data.root: {root!r} is no folder; name one, or leave the option out")
    return Path(root or os.environ.get("LITZOO_DATA_DIR") or "data").expanduser()


def require_within(path: Path, root: Path) -> None:
    """Refuses a path that leads out of a folder, by itself or by links on its way; links in a circle lead nowhere.

    Raises:
        ValueError: The message names both and the remedy.
    """
    real = os.path.realpath(path)
    if not Path(real).is_relative_to(os.path.realpath(root)):
        leads = "is a link to" if path.is_symlink() else "is"
        raise ValueError(
            f"{path} {leads} {real}, outside of data.root, {root}: copy it there, or name with --data.root or "
            "LITZOO_DATA_DIR a folder that holds both"
        )


def require_file(path: Path) -> None:
    """Refuses what is no ordinary file: opening a pipe waits for a writer, and some devices never end.

    Raises:
        OSError: If it is something else, or not there.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is no ordinary file")
