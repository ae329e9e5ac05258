"""What is fitted to the training rows of a table: medians and scales of numbers, and the words of categories."""

from collections.abc import Sequence

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from litzoo.datamodules.tables.dates import CONSTANT_WAVE


def fit_numbers(
    values: np.ndarray, are_waves: Sequence[bool]
) -> tuple[list[float], list[int], list[float], list[float]]:
    """Fits the imputation and the scaling of numbers.

    Args:
        values: Of the training rows, float64 `[N, A]`, NaN where missing.
        are_waves: Whether each is the sine or cosine of a cycle of dates.

    Returns:
        Medians `[A]`, positions of the values with an indicator of missing ones `[G]`, and means and standard
        deviations of values and indicators `[A + G]`.
    """
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True).fit(values)
    scaler = StandardScaler().fit(imputer.transform(values))
    scales = scaler.scale_.tolist()
    for position in np.flatnonzero(are_waves):
        if scales[position] < CONSTANT_WAVE:  # else dates on another day would become huge inputs
            scales[position] = 1.0
    gaps = [int(each) for each in imputer.indicator_.features_]
    return [float(each) for each in imputer.statistics_], gaps, scaler.mean_.tolist(), scales


def fit_words(words: np.ndarray, max_categories: int | None) -> tuple[list[list[str]], list[int]]:
    """Fits the categories of columns of words.

    Args:
        words: Of the training rows `[N, C]`.
        max_categories: Largest number of features of a column, of which the last stands for the rarest words if there
            are more; `None` for one each.

    Returns:
        The words of each column, the pooled ones last, and its number of features.
    """
    encoder = OneHotEncoder(max_categories=max_categories, handle_unknown="ignore").fit(words)
    pools = [None] * words.shape[1] if max_categories is None else encoder.infrequent_categories_
    categories, features = [], []
    for known, pool in zip(encoder.categories_, pools, strict=True):
        pooled = [] if pool is None else list(map(str, pool))
        own = [str(word) for word in known if word not in {*pooled}]
        categories.append([*own, *pooled])
        features.append(len(own) + bool(pooled))
    return categories, features


def codes_of(words: np.ndarray, categories: Sequence[Sequence[str]]) -> np.ndarray:
    """Returns the position of each word `[N, C]` among the categories of its column, int64 `[N, C]`; -1 if absent."""
    codes = np.full(words.shape, -1, dtype=np.int64)
    for position, known in enumerate(categories):
        places = {word: place for place, word in enumerate(known)}
        codes[:, position] = [places.get(str(word), -1) for word in words[:, position]]
    return codes
