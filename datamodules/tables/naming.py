"""Names for columns of a user's table beside our own."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_warn

_T = TypeVar("_T")


def apart(columns: Mapping[str, _T], taken: Collection[str], where: str) -> dict[str, _T]:
    """Returns columns of a user's table, those whose name we use under another: `index` becomes `index_in_file`.

    A warning says so.

    Args:
        columns: Name -> the column.
        taken: Names of our columns.
        where: What has both, for the message.
    """
    named: dict[str, _T] = {}
    for name, column in columns.items():
        new = name
        while new in taken or (new != name and (new in columns or new in named)):
            new += "_in_file"
        if new != name:
            rank_zero_warn(
                f"{where}: the column {name!r} of the table is named {new!r} there, since a column of ours is {name!r}"
            )
        named[new] = column
    return named
