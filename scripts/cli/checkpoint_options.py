"""The options of the commands that take a checkpoint alone: `litzoo predict`, `litzoo try`, `litzoo export`.

Nothing here imports torch, so that a command can answer before it does.
"""

import argparse


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


def add_prediction_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of what predicts: `--device` and `--value_range`."""
    black_white = "pixels that are black and white in images of more than 8 bits: 0 4095; default: those of training"
    parser.add_argument("--value_range", type=float, nargs=2, metavar=("LOW", "HIGH"), help=black_white)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 or mps; default: a GPU if there is one")
