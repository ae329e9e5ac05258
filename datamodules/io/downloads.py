"""Downloads of data sets that are complete or not there at all."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_REMEDY = (
    "Put the files there, or set --data.root or the environment variable LITZOO_DATA_DIR to the folder that holds them"
)


def download_once(folder: Path, download: Callable[[str], object]) -> None:
    """Downloads a data set unless its folder exists, atomically.

    The files are downloaded to a temporary folder beside the target, which is then renamed: neither an interrupted
    download nor two concurrent ones leave an incomplete data set.

    Args:
        folder: Target folder of the data set, such as `data/MNIST`.
        download: Function that downloads the data set into a folder, as a subfolder with the name of `folder`.

    Raises:
        FileNotFoundError: If the data are absent and cannot be downloaded.
    """
    created: list[Path] = []
    try:
        if folder.exists():
            return
        created = [each for each in folder.parents if not each.exists()]
        if folder.is_symlink():
            raise OSError("it is a broken link")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".download-", dir=folder.parent))
    except OSError as error:
        _remove_empty(created)
        problem = error.strerror or error
        raise FileNotFoundError(f"{folder} is absent and cannot be created ({problem}). {_REMEDY}") from error
    try:
        download(str(temporary))
        (temporary / folder.name).rename(folder)
    except Exception as error:
        if not folder.exists():  # otherwise another process has just finished the same download
            raise FileNotFoundError(
                f"{folder} is absent and could not be downloaded ({str(error).strip()}). {_REMEDY}"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(created)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty
            folder.rmdir()
