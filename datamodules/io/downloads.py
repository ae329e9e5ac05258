import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

REMEDY = (
    "Put the files there, or name the folder that holds them with --data.root or the environment variable "
    "LITZOO_DATA_DIR"
)


def download_once(folder: Path, download: Callable[[str], object]) -> None:
    """Downloads a torchvision data set unless its folder is there, so that a half-finished one is never seen.

    The files come into a temporary folder beside their place and are moved there in one step: neither a killed
    download nor two runs that start at once leave a broken data set.

    Args:
        folder: Where the data set's files belong, such as `data/MNIST`.
        download: Downloads into the folder whose path it is given, under `folder`'s name.

    Raises:
        FileNotFoundError: If the data are absent and cannot be downloaded.
    """
    made: list[Path] = []
    try:
        if folder.exists():
            return
        made = [each for each in folder.parents if not each.exists()]
        if folder.is_symlink():
            raise OSError("it is a link that leads nowhere")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".download-", dir=folder.parent))
    except OSError as error:
        _remove(made)
        problem = error.strerror or error
        raise FileNotFoundError(f"{folder} is absent and cannot be made ({problem}). {REMEDY}") from error
    try:
        download(str(temporary))
        (temporary / folder.name).rename(folder)
    except Exception as error:
        if not folder.exists():  # else another run has just finished the same download
            raise FileNotFoundError(
                f"{folder} is absent and could not be downloaded ({str(error).strip()}). {REMEDY}"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove(made)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # something is in it
            folder.rmdir()
