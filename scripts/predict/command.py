"""Predicts images or rows with a checkpoint alone, from any folder.

The first form needs neither the training data nor the config. It reads the images in a folder and its subfolders, one
image, or a CSV: for a model of tables its rows, for a model of images the files in its column `file`. The second form
predicts the test set of a run (`litzoo predict --config CONFIG --help` lists its options).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from litzoo.callbacks.files import display_path, write_csv
from litzoo.datamodules.counted import counted
from litzoo.scripts.cli.checkpoint_options import add_prediction_options, checkpoint_parser, require_checkpoint
from litzoo.scripts.cli.errors import filter_messages
from litzoo.scripts.cli.failures import report_errors

USAGE = """litzoo predict --ckpt_path CHECKPOINT --input FOLDER_OR_FILE [OPTIONS]
       litzoo predict --config CONFIG [OPTIONS OF litzoo fit]"""
SHOWN = 10
"""Number of unreadable files that are named."""


def main() -> None:
    """Runs `litzoo predict`; without `--input`, that of Lightning's command line."""
    words = sys.argv[2:]
    given = {word.split("=", 1)[0] for word in words if word.startswith("-")}
    if "--input" in given or not given - {"-h", "--help", "--debug"} or given <= {"--ckpt_path"}:
        filter_messages()
        report_errors(lambda: predict(sys.argv[2:]))
        return
    from litzoo.scripts.cli.main import main as predict_by_config

    predict_by_config()


def predict(words: Sequence[str]) -> Path:
    """Predicts what a command line asks for; returns the path of the CSV.

    Raises:
        FileExistsError: If the output is there already.
        FileNotFoundError: If the checkpoint or the input is not there.
        ValueError: If an argument, the checkpoint or the input is not valid; nothing is written.
    """
    options = _parser().parse_args(words)
    try:
        require_checkpoint(f"--ckpt_path {options.ckpt_path}", options.ckpt_path)
        problem = ""
    except FileNotFoundError as error:
        if options.input is not None:
            raise
        problem = f"{error}. "
    if options.input is None:
        raise ValueError(
            f"{problem}--input: is not given; name a folder of images, an image or a CSV file (the test set of a run "
            "is predicted with --config RUN/config.yaml)"
        )
    output = Path(options.output).expanduser()
    if output.is_dir() or not output.name:
        raise ValueError(f"--output {options.output}: is a folder; name a CSV file")
    if output.exists() and not options.overwrite:
        raise FileExistsError(f"--output {output}: is there already; name another file, or add --overwrite")
    from litzoo.datamodules.tables.naming import apart
    from litzoo.datamodules.tables.reading import TableReading
    from litzoo.scripts.predict.loading import named_class, require_files
    from litzoo.scripts.predict.predictor import Predictor

    predictor = Predictor.load(
        options.ckpt_path,
        named_class(options.module) if options.module else None,
        batch_size=options.batch_size,
        device=options.device,
        precision=options.precision,
        value_range=options.value_range,
    )
    require_files(f"--ckpt_path {options.ckpt_path}", predictor.preparation)
    columns, predictions = _predicted(predictor, Path(options.input).expanduser(), options.unreadable)
    table = predictions.columns(options.probabilities)
    if isinstance(predictor.preparation, TableReading):  # its columns are those of training, and cannot be renamed
        columns = apart(columns, table, str(output))
    if taken := [name for name in table if name in columns]:
        raise ValueError(f"--input {options.input}: has a column {taken[0]!r} already; rename it")
    write_csv(output, columns | table)
    _print_summary(predictions, output)
    return output


def _parser() -> argparse.ArgumentParser:
    parser = checkpoint_parser("litzoo predict", __doc__, USAGE)
    add = parser.add_argument
    add("--input", help="folder of images, an image, or a CSV file")
    add("--output", default="predictions.csv", help="CSV file to write; default: predictions.csv")
    add("--overwrite", action="store_true", help="replace the output if it is there")
    add("--probabilities", action="store_true", help="add the probability of every class")
    add("--unreadable", choices=("refuse", "skip"), default="refuse", help="what to do with damaged images")
    add("--batch_size", type=int, default=256, help="samples in a batch; default: 256")
    add("--precision", default="32-true", help="32-true (default), bf16-mixed or 16-mixed")
    add_prediction_options(parser)
    return parser


def _predicted(predictor: Any, place: Path, unreadable: str) -> tuple[dict[str, Any], Any]:
    """Returns the columns of the input that are kept, and the predictions."""
    from litzoo.datamodules.tables.reading import TableReading
    from litzoo.scripts.predict.inputs import image_files, listed_images

    with Progress(transient=True) as progress:
        task = progress.add_task("Predicting", total=None)

        def predict(samples: Any) -> Any:
            progress.update(task, total=len(samples))
            return predictor(samples, unreadable, lambda done: progress.advance(task, done))

        if isinstance(predictor.preparation, TableReading):
            rows, cells = predictor.preparation.read_as_written(place, "name a CSV file with --input")
            return {name: cells[name].tolist() for name in cells.columns}, predict(rows)
        if place.suffix.lower() != ".csv":
            predictions = predict(image_files(place))
            folder = place if place.is_dir() else place.parent
            return {"file": [Path(file).relative_to(folder).as_posix() for file in predictions.files]}, predictions
        paths, columns = listed_images(place)
        predictions = predict(paths)
    read = set(predictions.files)
    kept = [row for row, path in enumerate(paths) if str(path) in read]
    return {name: [cells[row] for row in kept] for name, cells in columns.items()}, predictions


def _print_summary(predictions: Any, output: Path) -> None:
    from litzoo.callbacks.reporting.predictions_csv import label_note

    if skipped := predictions.unreadable:
        more = [f"... and {len(skipped) - SHOWN} more"] if len(skipped) > SHOWN else []
        print(f"{counted(len(skipped), 'file was', 'files were')} skipped:", *skipped[:SHOWN], *more, sep="\n  ")
    unknown = int(predictions.unknown.sum())
    found = f", {unknown} of them unknown" if predictions.unknown_score is not None else ""
    print(f"{counted(len(predictions), 'prediction')}{found} in {display_path(output.absolute())}")
    if note := label_note(predictions.class_names):
        print(note)
