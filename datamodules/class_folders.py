from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

PICTURES = {*IMG_EXTENSIONS, ".gif"}


def class_names_in(folder: Path, least: int = 2) -> tuple[str, ...]:
    """Names the folders in a folder, sorted; hidden ones are passed over.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than `least`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is no folder; data.folder is looked up in data.root, or in the environment variable "
            "LITZOO_DATA_DIR"
        )
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < least:
        wanted = "two" if least == 2 else "one"
        raise ValueError(f"{folder}: {len(names)} class folders ({', '.join(names)}); it needs at least {wanted}")
    return tuple(names)


def pictures_in(folder: Path) -> list[Path]:
    """Lists the picture files in a folder and the folders within, sorted.

    Hidden files and folders are passed over, and linked folders within are not followed.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_dir()
    )
