import os
from pathlib import Path


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
