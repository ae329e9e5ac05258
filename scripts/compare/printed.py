"""Prints the tables of a comparison, whatever the width of the terminal."""

import re
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_FRAME = 3
"""Width that a column takes beside its text; the table takes one more."""
_LEAST_NAME = 12
"""Width to which the names of the rows are folded at most."""


def print_table(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table without breaking words or numbers; one that is too wide becomes several, one below the other.

    Only names of rows that leave no room for a second column are broken.

    Args:
        console: Where to; its width is that of the terminal.
        header: Names of the columns; the first column, with the names of the rows, is in all tables.
        rows: Cells of each row.
    """
    cells = [[_in_lines(cell) for cell in row] for row in rows]
    widths = [max([_widest_word(name), *(_width(row[at]) for row in cells)]) for at, name in enumerate(header)]
    room = console.width - 1 - 2 * _FRAME - max(widths[1:], default=0)
    widths[0] = min(widths[0], max(room, _LEAST_NAME))
    for chosen in _tables(widths, terminal := console.width):
        table = Table()
        for at in chosen:
            title = "\n".join(textwrap.fill(part, widths[at]) for part in _in_lines(header[at]).split("\n"))
            table.add_column(escape(title), width=widths[at], overflow="fold", justify="right" if at else "left")
        for row in cells:
            table.add_row(*(escape(row[at]) for at in chosen))
        console.width = max(terminal, sum(widths[at] + _FRAME for at in chosen) + 1)  # cuts nothing off
        console.print(table, crop=False)
    console.width = terminal


def _tables(widths: Sequence[int], most: int) -> list[list[int]]:
    """Returns the columns of each table: as many as fit, but at least two."""
    tables = [[0]]
    for at in range(1, len(widths)):
        if sum(widths[own] + _FRAME for own in (*tables[-1], at)) + 1 > most and len(tables[-1]) > 1:
            tables.append([0])
        tables[-1].append(at)
    return tables


def _in_lines(text: str) -> str:
    """Returns a text with what is in brackets, such as an interval, on a line of its own."""
    return re.sub(r" (?=\()", "\n", text)


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


def _widest_word(name: str) -> int:
    """Returns the width that a header needs; what is in brackets stays together."""
    outside, *inside = _in_lines(name).split("\n")
    return max(map(len, [*outside.split(" "), *inside]))
