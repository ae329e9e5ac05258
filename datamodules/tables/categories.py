"""The cells of a column of categories: as text, and found among the categories of training."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from litzoo.datamodules.tables.cells import texts_of


def categories_of(cells: pd.Series) -> np.ndarray:
    """Returns the cells of a column of categories as text `[N]`; a missing one is empty."""
    return texts_of(cells).to_numpy(dtype=object)


def recognised(words: np.ndarray, known: Collection[str]) -> np.ndarray:
    """Returns words of a column of categories, each as training wrote it if only the form of a number differs.

    pandas reads the codes `1`, `2` as the numbers 1.0, 2.0 if a cell is missing.

    Args:
        words: Text `[N]`.
        known: Categories of training.
    """
    table = {}
    for word in set(words) - set(known):
        forms = (word.removesuffix(".0"), f"{word}.0") if word.removesuffix(".0").lstrip("-").isdecimal() else ()
        table[word] = next((form for form in forms if form in known), word)
    return np.array([table.get(word, word) for word in words], dtype=object)


def without_zeros(words: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Returns word -> category for words that are a category without its leading zeros, as `1234` for `01234`."""
    short = {each.lstrip("0"): each for each in known if each.startswith("0") and each.isdecimal()}
    return {word: short[word.removesuffix(".0")] for word in words if word.removesuffix(".0") in short}
