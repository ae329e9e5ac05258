"""Checks of a table: columns named in options exist; new rows have the columns and categories of training."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.datamodules.class_spellings import spellings
from litzoo.datamodules.nearest import nearest
from litzoo.datamodules.tables.categories import without_zeros

SHOWN = 5
"""Names that a message lists."""
MOST_UNSEEN = 10
"""Number of cells with unseen categories that is accepted even if it is most of a column."""


def require_known(names: Mapping[str, Sequence[str]], columns: Sequence[str], where: str) -> None:
    """Checks that columns named in options exist.

    Args:
        names: Option -> names of columns.
        columns: Names of all columns.
        where: Name of the file, for the message.

    Raises:
        ValueError: The message names the option, the column and all columns.
    """
    for option, given in names.items():
        for name in given:
            if name not in columns:
                hint = ". If its columns have another separator, set data.separator" if len(columns) == 1 else ""
                raise ValueError(f"{where}: no column {name!r} ({option}); the columns are {', '.join(columns)}{hint}")


def require_columns(names: Sequence[str], needed: Sequence[str], others: Collection[str], where: str) -> None:
    """Checks the names of a table's columns.

    Args:
        names: Names of its columns.
        needed: Columns that were used in training.
        others: Other columns of training, which it may have.
        where: Name of the table, for messages.

    Raises:
        ValueError: If a column is missing, new or doubled. One message names all that are missing and new.
    """
    absent = [name for name in needed if name not in names]
    new = [name for name in names if name not in needed and name not in others]
    if doubled := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{where}: has the column {', '.join(map(repr, doubled))} twice")
    lines = []
    if absent:
        likely = {name: match for name in absent for match in nearest(name, new, 1, cutoff=0.6)}
        hint = "".join(f"; is {match!r} the renamed {name!r}?" for name, match in likely.items())
        lines.append(f"no column {', '.join(map(repr, absent))}, which was used in training{hint}")
    if new:
        lines.append(f"column {', '.join(map(repr, new))} did not exist in training; rename or remove it")
    if absent:
        lines.append(
            "give the columns the names they had in training; if the values of one are not known, add it with empty "
            "cells, which are filled in as missing ones were in training"
        )
    if lines:
        raise ValueError("\n".join([f"{where}: {lines[0]}", *lines[1:], f"columns used: {', '.join(needed)}"]))


def warn_of_empty(names: Sequence[str], where: str) -> None:
    """Warns of columns without a value in any of the new rows.

    Args:
        names: Names of columns that are empty, but were not in training.
        where: Name of the table, for messages.
    """
    if names:
        rank_zero_warn(
            f"{where}: column {', '.join(map(repr, names))} is empty in all rows, but was not in training: all of its "
            "values are filled in, numbers and dates by the median of the training rows, categories as missing ones. "
            "Predictions are less certain than in the test"
        )


def warn_of_newly_filled(names: Sequence[str], where: str) -> None:
    """Warns of columns with values that were empty in training.

    Args:
        names: Names of columns that were empty in all training rows, but are not in the new ones.
        where: Name of the table, for messages.
    """
    if names:
        rank_zero_warn(
            f"{where}: column {', '.join(map(repr, names))} has values, but was empty in all training rows: they reach "
            "weights that nothing has trained. Leave the cells empty, or train again"
        )


def warn_of_word_spellings(name: str, words: Collection[str], where: str) -> None:
    """Warns of categories in a column that are likely spellings of one, such as `north` and `North`.

    Args:
        name: Name of the column.
        words: Its categories.
        where: Name of the table, for messages.
    """
    if groups := spellings(sorted(words)):
        shown = "; ".join(" and ".join(map(repr, group)) for group in groups[:SHOWN])
        rank_zero_warn(
            f"{where}: column {name!r} has categories that may be spellings of one: {shown}"
            f"{'; ...' if groups[SHOWN:] else ''}. They are inputs of their own; if they are one, write it in one way"
        )


def warn_of_unseen_words(name: str, cells: np.ndarray, known: Sequence[str], where: str) -> None:
    """Warns of categories in a column that did not occur in training, with the number of rows.

    Args:
        name: Name of the column.
        cells: Its cells as text `[N]`; a missing one is empty.
        known: Categories of training.
        where: Name of the table, for messages.

    Raises:
        ValueError: If most filled cells have several such categories, or one is a category of training without its
            leading zeros: then the column was likely changed or retyped.
    """
    unseen = cells[~np.isin(cells.astype(str), known)]
    if not len(unseen):
        return
    shown = ", ".join(repr(each) if each else "missing" for each in list(dict.fromkeys(unseen))[:SHOWN])
    place = f"{where}: column {name!r} has categories in {len(unseen):,} of {len(cells):,} rows that did not "
    if lost := without_zeros(dict.fromkeys(unseen), known):
        word, code = next(iter(lost.items()))
        raise ValueError(
            f"{place}occur in training: {word!r} seems to be {code!r} without its leading zeros; write codes as in "
            f"training, with pandas.read_csv(..., dtype={{{name!r}: str}})"
        )
    count, filled = int((unseen != "").sum()), int((cells != "").sum())
    if count > max(MOST_UNSEEN, filled / 2) and len({*unseen} - {""}) > 1:
        raise ValueError(
            f"{place}occur in training, most of its cells: {shown}. Training had "
            f"{', '.join(map(repr, known[:SHOWN]))}{', ...' if len(known) > SHOWN else ''}: write them in this way "
            "(codes with leading zeros: pandas.read_csv(..., dtype=str)), or leave cells that are really new empty"
        )
    rank_zero_warn(f"{place}occur in training, and are encoded as zeros: {shown}")
