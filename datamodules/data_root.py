import os
from pathlib import Path


def data_root(root: str | None) -> Path:
    """Returns the folder of the data: the one given, else the environment's, else `data`.

    Raises:
        ValueError: If it is no name of a folder.
    """
    if root is not None and (not root or "\0" in root):
        raise ValueError(f"data.root: {root!r} is no folder; name one, or leave the option out")
    return Path(root or os.environ.get("LITZOO_DATA_DIR") or "data").expanduser()
