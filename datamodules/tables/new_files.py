"""Reads a CSV file of new rows, which may have another separator, decimal sign or encoding than that of training."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from litzoo.datamodules.tables.csv_files import TableFormat, read_table
from litzoo.datamodules.tables.ranges import Ranges, are_plausible


def read_new_rows(
    path: Path, remedy: str, trained: TableFormat, names: Sequence[str], kept: Collection[str], ranges: Ranges
) -> tuple[pd.DataFrame, TableFormat]:
    """Finds the format of a file anew, and takes that of training where it is not certain.

    Args:
        path: Path of the file.
        remedy: What to do if the file is absent, for the message.
        trained: Format of the training file.
        names: Columns that were used in training.
        kept: Columns that are no numbers, see `read_table`.
        ranges: Column -> smallest and largest number of the training rows: they tell decimal signs and separators of
            thousands apart.

    Returns:
        The cells as text and the format, as `read_table` does.

    Raises:
        FileNotFoundError: If the file cannot be read.
        ValueError: If it is not a CSV file; see `read_table`.
    """
    usual = trained.decimal or "."
    unknown = replace(trained, separator=None, decimal=None, encoding=None)
    refused: ValueError | None = None
    for given in (unknown, replace(unknown, decimal=usual), replace(trained, encoding=None)):
        try:
            rows, found = read_table(
                path, remedy, given, names, usual, kept, lambda name, numbers: are_plausible(numbers, ranges.get(name))
            )
        except ValueError as error:
            refused = refused or error
            continue
        if refused is None or {*names} <= {*rows.columns}:  # else it was read with a wrong separator
            rows.attrs["file"] = str(path)  # for messages
            return rows, found
    assert refused is not None
    raise refused
