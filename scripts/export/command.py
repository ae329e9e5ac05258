"""Writes a trained checkpoint as one file for deployment, from pixels or table rows to the answer.

The file needs no litzoo: `torch` is a program for `torch.export.load`, `onnx` runs wherever ONNX does. Inputs are uint8
images of any size (or numbers and category codes); outputs are probabilities, class index, and with unknown-class
detection the unknown flag and score; for a regressor the value. Class names, threshold and all else is in the metadata.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from litzoo.callbacks.files import display_path
from litzoo.scripts.cli.checkpoint_options import checkpoint_parser, require_checkpoint
from litzoo.scripts.cli.failures import report_errors

SUFFIX = {"torch": ".pt2", "onnx": ".onnx"}


def main() -> None:
    """Runs `litzoo export`."""
    report_errors(lambda: export_checkpoint(sys.argv[2:]))


def export_checkpoint(words: Sequence[str]) -> Path:
    """Exports what a command line asks for; returns the path of the file.

    Raises:
        FileExistsError: If the output is there already.
        FileNotFoundError: If the checkpoint is not there.
        ModuleNotFoundError: If the packages for ONNX are not installed.
        ValueError: If the checkpoint is of another kind, or the format cannot hold it; nothing is written.
    """
    options = _parser().parse_args(words)
    require_checkpoint(f"--ckpt_path {options.ckpt_path}", options.ckpt_path)
    suffix = SUFFIX[options.format]
    output = Path(options.output or Path(options.ckpt_path).with_suffix(suffix).name).expanduser()
    if output.suffix != suffix:
        raise ValueError(f"--output {output}: a file of --format {options.format} ends with {suffix}")
    if output.exists() and not options.overwrite:
        raise FileExistsError(f"--output {output}: is there already; name another file, or add --overwrite")
    from litzoo.scripts.export.files import export, require_onnx
    from litzoo.scripts.predict.loading import named_class
    from litzoo.scripts.predict.predictor import Predictor

    if options.format == "onnx":
        require_onnx()
    module = named_class(options.module) if options.module else None
    predictor = Predictor.load(options.ckpt_path, module, device="cpu")
    metadata = export(predictor, output, options.format)
    found = f", unknown above {metadata['unknown']['threshold']:.6g}" if "unknown" in metadata else ""
    answer = f"{len(metadata['class_names'])} classes{found}" if metadata["class_names"] else "values"
    print(f"{display_path(output.absolute())}: {output.stat().st_size / 1e6:.1f} MB, {answer}")
    return output


def _parser() -> argparse.ArgumentParser:
    usage = "litzoo export --ckpt_path CHECKPOINT --format {torch,onnx} [OPTIONS]"
    parser = checkpoint_parser("litzoo export", __doc__, usage)
    add = parser.add_argument
    add("--format", required=True, choices=tuple(SUFFIX), help="torch (.pt2) or onnx (.onnx)")
    add("--output", help="file to write; default: the name of the checkpoint with .pt2 or .onnx, in this folder")
    add("--overwrite", action="store_true", help="replace the output if it is there")
    return parser
