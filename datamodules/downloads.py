import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


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
    if folder.exists():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".download-", dir=folder.parent))
    except OSError as error:
        raise FileNotFoundError(f"{folder} is absent and cannot be made: {error}") from error
    try:
        download(str(temporary))
        (temporary / folder.name).rename(folder)
    except Exception as error:
        if not folder.exists():  # else another run has just finished the same download
            raise FileNotFoundError(
                f"{folder} is absent and could not be downloaded ({error}). Put the files there, or name the folder "
                "that holds them with --data.root or the environment variable LITZOO_DATA_DIR"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
