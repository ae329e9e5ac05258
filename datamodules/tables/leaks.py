"""Finds input columns that give the target away, such as a copy of it under another name (target leakage)."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from litzoo.datamodules.tables.cells import numbers_of, texts_of
from litzoo.datamodules.tables.columns import Column, values_of

MOST_ERRORS = 0.02
"""Fraction of the errors of always predicting the largest class that a leaking column may leave."""
LEAST_RANKED = 0.9995
"""Smallest rank correlation with a numeric target, or R² of the means of its values, of a leaking column."""
FEWEST_ROWS = 20
"""Rows outside the largest class, or with a number, from which a leak is told from chance."""
FEWEST_FOR_LIMITS = 500
"""Rows from which limits on a single number that separate the classes are suspicious: in small tables of well chosen
measurements, such as two of the irises, they are not."""
MANY_VALUES = 50
"""A column of more values is judged by rows that differ, since copies of a row agree in everything. Its values may also
be those of groups of rows, such as the weight at birth of a patient with several visits."""
_SCREENED = 20_000
"""Rows that are looked at first: only columns that leak there are looked at in all rows."""


def leaking_columns(
    frame: pd.DataFrame, rows: np.ndarray, columns: Sequence[Column], target: str, is_class: bool
) -> list[str]:
    """Returns a remark on each input column that alone gives the target of nearly all training rows.

    What a value says of a row is learned from the other rows with this value. So a column of different values, such as
    an identifier, says nothing, unless limits on it separate the classes, or it has the order of a numeric target.
    Of rows that are alike, one counts in columns of many values.

    Args:
        frame: Cells of all rows.
        rows: Positions of the training rows.
        columns: The inputs.
        target: Name of the target column.
        is_class: Whether it holds classes; otherwise numbers.
    """
    cells = frame[target].iloc[rows]
    known = pd.factorize(texts_of(cells))[0] if is_class else numbers_of(texts_of(cells))
    first = _screened(known, is_class)
    names = [*(column.name for column in columns), target]
    is_new = _is_new(frame, rows[first], names)
    is_new_of_all: np.ndarray | None = None
    remarks = []
    for column in columns:
        own = frame[column.name].iloc[rows]
        if next(_found(column, own.iloc[first], known[first], is_new, is_class), None):
            # Which way it leaks is decided anew, in all rows.
            is_new_of_all = _is_new(frame, rows, names) if is_new_of_all is None else is_new_of_all
            found = list(_found(column, own, known, is_new_of_all, is_class))
            remarks += [f"column {column.name!r} {text}" for text in found[:1]]
    return remarks


def _is_new(frame: pd.DataFrame, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Returns which rows `[n]` differ from all earlier ones in some of the columns named."""
    groups = np.zeros(len(rows), dtype=np.int64)
    for name in names:
        codes = pd.factorize(frame[name].iloc[rows])[0] + 1  # 0 is a missing cell
        groups, found = pd.factorize(groups * (len(rows) + 1) + codes)
        if len(found) == len(rows):  # usual after a column or two; the others need not be looked at
            break
    return ~pd.Series(groups).duplicated().to_numpy()


def _screened(known: np.ndarray, is_class: bool) -> np.ndarray:
    """Returns positions of some rows, evenly spaced; of each class as many if possible, so that rare ones count."""
    if len(known) <= _SCREENED:
        return np.arange(len(known))
    classes = (
        [np.flatnonzero(known == label) for label in range(known.max() + 1)] if is_class else [np.arange(len(known))]
    )
    share = -(-_SCREENED // len(classes))
    return np.sort(np.concatenate([each[:: max(1, len(each) // share)] for each in classes]))


def _found(column: Column, cells: pd.Series, known: np.ndarray, is_new: np.ndarray, is_class: bool) -> Iterator[str]:
    """Yields the ways in which a column gives the target away, as the end of a sentence on it."""
    values, is_missing = _values(column, cells)
    filled = ~is_missing
    if filled.sum() >= len(filled) / 2:
        kind = "training rows"
        if not is_new.all() and len(np.unique(values[filled])) > MANY_VALUES:
            filled, kind = filled & is_new, "different training rows"
        among = f"{filled.sum():,} {kind}" + (" where it is filled" if is_missing.any() else "")
        yield from (_for_classes if is_class else _for_numbers)(column, values[filled], known[filled], among)
    if is_class and is_missing.any() and _is_leak(right := _right_by_value(is_missing, known), known):
        yield f"is empty in some rows, and that alone gives the class of {right:,} of {len(known):,} training rows"


def _values(column: Column, cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Returns a number for each cell, for words one that stands for the word, and which cells are missing."""
    if column.kind in ("number", "date"):
        numbers = values_of(column, cells)[:, 0]
        return numbers, np.isnan(numbers)
    texts = texts_of(cells)
    return pd.factorize(texts)[0].astype(np.float64), (texts == "").to_numpy()


def _for_classes(column: Column, values: np.ndarray, labels: np.ndarray, among: str) -> Iterator[str]:
    if _is_leak(right := _right_by_value(values, labels), labels):
        count = len(np.unique(values))
        each = "each" if right == len(labels) else "nearly each"
        text = f"gives the class of {right:,} of {among}: {each} of its {count:,} values goes with one class"
        yield text + _of_groups(count)
    elif column.kind in ("number", "date") and len(labels) >= FEWEST_FOR_LIMITS:
        count = len(np.unique(labels))
        tree = DecisionTreeClassifier(max_leaf_nodes=max(2, count), min_samples_leaf=5, random_state=0)
        right = int((tree.fit(values[:, None], labels).predict(values[:, None]) == labels).sum())
        if _is_leak(right, labels):
            limits = sorted(tree.tree_.threshold[tree.tree_.children_left >= 0])
            shown = ", ".join(f"{each:.6g}" for each in limits[:3]) + (", …" if limits[3:] else "")
            if column.kind == "date":
                shown = ", ".join(str(np.datetime64(int(each), "D")) for each in limits[:3])
            yield f"gives the class of {right:,} of {among}: it is below or above {shown}"


def _for_numbers(column: Column, values: np.ndarray, numbers: np.ndarray, among: str) -> Iterator[str]:
    if len(numbers) < FEWEST_ROWS or np.ptp(numbers) == 0:
        return
    if column.kind in ("number", "date") and np.ptp(values) > 0:
        ranks = pd.DataFrame({"values": values, "numbers": numbers}).rank()
        if abs(correlation := ranks["values"].corr(ranks["numbers"])) >= LEAST_RANKED:
            equal = int(np.isclose(values, numbers, rtol=1e-6, atol=0).sum())
            same = (
                f"it equals the target in {equal:,} of them"
                if 2 * equal > len(numbers)
                else "one follows from the other"
            )
            yield f"has the order of the target, with a rank correlation of {correlation:.4f} in {among}; {same}"
            return
    if (explained := _explained_by_value(values, numbers)) >= LEAST_RANKED:
        count = len(np.unique(values))
        text = f"gives the target, with R² = {explained:.4f} in {among}: its {count:,} values go with one number each"
        yield text + _of_groups(count)


def _of_groups(count: int) -> str:
    """Returns the other reason why each of so many values may go with one class or number, if they are many."""
    if count <= MANY_VALUES:
        return ""
    return ". Perhaps rows with the same value belong together, such as visits of one patient, and the split parts them"


def _is_leak(right: int, labels: np.ndarray) -> bool:
    """Whether so many right classes are nearly all, also of those outside the largest class."""
    outside = len(labels) - int(np.bincount(labels).max(initial=0))
    return outside >= FEWEST_ROWS and len(labels) - right <= MOST_ERRORS * outside


def _right_by_value(values: np.ndarray, labels: np.ndarray) -> int:
    """Returns how many rows have the class that is most frequent among the other rows with the same value."""
    _, groups = np.unique(values, return_inverse=True)
    pairs, counts = np.unique(groups * (labels.max() + 1) + labels, return_counts=True)
    owners = pairs // (labels.max() + 1)
    order = np.lexsort((counts, owners))
    owners, counts = owners[order], counts[order]
    is_top = np.append(owners[1:] != owners[:-1], True)[: len(owners)]
    second = np.where(np.append(-1, owners[:-1])[: len(owners)] == owners, np.append(0, counts[:-1])[: len(owners)], 0)
    return int(counts[is_top & (counts - 1 > second)].sum())


def _explained_by_value(values: np.ndarray, numbers: np.ndarray) -> float:
    """Returns the fraction of the variance that the mean of the other rows with the same value explains."""
    _, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.bincount(groups, weights=numbers) / counts
    sizes, deviations = counts[groups], numbers - numbers.mean()
    # The mean of the others is farther away than that of all by this factor.
    residuals = np.where(sizes > 1, (numbers - means[groups]) * sizes / np.maximum(sizes - 1, 1), deviations)
    return 1 - float((residuals**2).sum() / (deviations**2).sum())
