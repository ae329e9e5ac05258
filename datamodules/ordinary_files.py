import stat
from pathlib import Path


def require_file(path: Path) -> None:
    """Refuses what is no ordinary file: opening a pipe waits for a writer, and some devices never end.

    Raises:
        OSError: If it is something else, or not there.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is no ordinary file")
