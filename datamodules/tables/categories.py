"""The cells of a column of categories: as text, and found among the categories of training."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from litzoo.datamodules.counted import counted
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
    table, known = {}, set(known)
    for word in set(words) - known:
        forms = (word.removesuffix(".0"), f"{word}.0") if word.removesuffix(".0").lstrip("-").isdecimal() else ()
        table[word] = next((form for form in forms if form in known), word)
    return np.array([table.get(word, word) for word in words], dtype=object)


def pooled_remarks(
    names: Sequence[str], words: np.ndarray, categories: Sequence[Sequence[str]], features: Sequence[int]
) -> list[str]:
    """Returns a remark on each column of categories whose rarest words share one feature.

    Args:
        names: Names of the columns of categories.
        words: Their cells in the training rows `[N, columns]`.
        categories: Their words in training, the pooled ones last.
        features: Their numbers of features.
    """
    remarks = []
    for name, cells, known, count in zip(names, words.T, categories, features, strict=True):
        if pool := known[count - 1 :] if count < len(known) else []:
            of_pool = pd.Series(cells)[np.isin(cells, pool)].value_counts()
            remarks.append(
                f"the {len(pool):,} rarest of {len(known):,} categories of {name} are pooled into one: each is in at "
                f"most {counted(int(of_pool.max()), 'training row')}, all are in {of_pool.sum() / len(cells):.0%} of "
                "these rows; data.max_categories sets the limit"
            )
    return remarks


def without_zeros(words: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Returns word -> category for words that are a category without its leading zeros, as `1234` for `01234`."""
    short = {each.lstrip("0"): each for each in known if each.startswith("0") and each.isdecimal()}
    return {word: short[word.removesuffix(".0")] for word in words if word.removesuffix(".0") in short}
