"""Finds names that are likely two spellings of one class."""

import unicodedata
from collections.abc import Iterable
from math import isfinite

from lightning.pytorch.utilities import rank_zero_warn


def equal_numbers(names: Iterable[str]) -> list[list[str]]:
    """Returns the groups of names that are the same number, such as `1` and `1.0`."""
    return _groups({name: _number(name) for name in names})


def spellings(names: Iterable[str]) -> list[list[str]]:
    """Returns the groups of names that differ only in case, spaces or Unicode form, or are the same number."""
    names = list(names)
    alike = _groups({name: " ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in names})
    return [*alike, *equal_numbers(names)]


def warn_of_spellings(names: Iterable[str], place: str) -> None:
    """Warns of names that differ only in case, spaces or Unicode form, or are the same number.

    Args:
        names: Names of the classes.
        place: Where they are from, for the message.
    """
    for group in spellings(names):
        rank_zero_warn(
            f"{place} has the classes {' and '.join(map(repr, group))}, which may be spellings of one class: they are "
            "trained as different classes; if they are one, write it in one way"
        )


def _groups(keys: dict[str, object]) -> list[list[str]]:
    groups: dict[object, list[str]] = {}
    for name, key in keys.items():
        if key is not None:
            groups.setdefault(key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _number(name: str) -> float | None:
    try:
        number = float(name.replace("_", "x"))  # Python's 1_000 is no number in a table
    except ValueError:
        return None
    return number if isfinite(number) else None
