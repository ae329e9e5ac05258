"""Names the files of a prediction, so that those of new samples do not replace those of the test set."""

import os
from pathlib import Path
from typing import Any

from litzoo.callbacks.files import read_json, write_json

INPUTS = "predicted_inputs.json"
"""File in the run folder: what each name stands for, the absolute path of a folder or file."""
_LONGEST = 60
"""Characters of a name; file systems take 255 bytes."""


def name_of_prediction(run_folder: Path, datamodule: Any, name: str) -> str:
    """Returns the name of a prediction's file: `predictions` for the test set, `predictions_new` for the folder `new`.

    The same input has the same name again, another one of that name a number, `predictions_new-2`. Only the process of
    rank 0 may call it.

    Args:
        run_folder: The run folder; its `predicted_inputs.json` keeps the names.
        datamodule: Its `predicted_input` is the folder or file that is predicted instead of the test set, if any.
        name: Name of the file, without suffix.
    """
    given = getattr(datamodule, "predicted_input", None)
    if given is None:
        return name
    path = os.path.abspath(given)
    inputs = read_json(run_folder / INPUTS)
    known = next((label for label, place in inputs.items() if place == path), None)
    if known is None:
        label = Path(path).stem if os.path.isfile(path) else Path(path).name  # a folder v1.2 has no suffix
        known = _unused(label[:_LONGEST] or "root", {label.casefold() for label in inputs})
        write_json(run_folder / INPUTS, {**inputs, known: path})
    return f"{name}_{known}"


def _unused(label: str, taken: set[str]) -> str:
    """Returns a label, with the first number from 2 on that makes it another one than those taken, if it is one."""
    number, free = 2, label
    while free.casefold() in taken:
        number, free = number + 1, f"{label}-{number}"
    return free
