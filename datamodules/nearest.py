"""The names that are closest to a wrong one, for messages."""

import difflib
from collections.abc import Iterable


def nearest(word: str, names: Iterable[str], count: int = 3, cutoff: float = 0.5) -> list[str]:
    """Returns the closest names, whatever their case, the most similar first.

    Args:
        word: The wrong name.
        names: The right ones.
        count: Largest number of names.
        cutoff: Smallest similarity, from 0 to 1, as of `difflib.get_close_matches`.
    """
    known = {name.casefold(): name for name in sorted(names, reverse=True)}
    return [known[name] for name in difflib.get_close_matches(word.casefold(), known, n=count, cutoff=cutoff)]
