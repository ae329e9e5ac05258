"""The options of the commands that take a checkpoint alone: `litzoo predict`, `litzoo try`, `litzoo export`.

Nothing here imports torch, so that a command can answer before it does.
"""

import argparse
import os
from pathlib import Path


def checkpoint_parser(command: str, description: str | None, usage: str) -> argparse.ArgumentParser:
    """Returns a parser with `--ckpt_path` and `--module`.

    Args:
        command: Such as `litzoo export`.
        description: Text of `--help`, with its own line breaks.
        usage: What follows `usage: `.
    """
    parser = argparse.ArgumentParser(
        command,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=usage,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ckpt_path", required=True, help="checkpoint, such as runs/NAME/version_0/checkpoints/best.ckpt")
    add("--module", help="class path of the module, if it is not one of litzoo's: my_code.MyClassifier")
    return parser


def require_checkpoint(origin: str, given: str | Path) -> Path:
    """Returns the path of a checkpoint.

    Args:
        origin: Option and value that named it, for the message.
        given: The path.

    Raises:
        FileNotFoundError: If it is no file; for a folder of runs, the message names the checkpoints in it.
    """
    if os.path.isfile(given):
        return Path(given)
    if not os.path.isdir(given):
        raise FileNotFoundError(f"{origin}: there is no such file; name a checkpoint, such as best.ckpt")
    if not (found := _checkpoints_in(Path(given))):
        raise FileNotFoundError(f"{origin}: is a folder without a checkpoint; name a file, such as best.ckpt")
    raise FileNotFoundError(f"{origin}: is a folder; name the checkpoint in it, {' or '.join(map(str, found))}")


def _checkpoints_in(folder: Path) -> list[Path]:
    """Returns `best.ckpt` and `last.ckpt` of a folder, of its `checkpoints/`, or else of its newest run."""
    runs = [path for path in folder.glob("version_*") if path.name[8:].isdecimal()]
    runs.sort(key=lambda path: int(path.name[8:]), reverse=True)
    for place in (folder, folder / "checkpoints", *(run / "checkpoints" for run in runs)):
        if found := [path for name in ("best", "last") if (path := place / f"{name}.ckpt").is_file()]:
            return found
    return []


def add_prediction_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of what predicts: `--device` and `--value_range`."""
    black_white = "pixels that are black and white in images of more than 8 bits: 0 4095; default: those of training"
    parser.add_argument("--value_range", type=float, nargs=2, metavar=("LOW", "HIGH"), help=black_white)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 or mps; default: a GPU if there is one")
