import numpy as np
from sklearn.datasets import load_diabetes

from litzoo.datamodules.tables.base import TableDataModule


class DiabetesDataModule(TableDataModule):
    """442 patients, ten measurements each, and how far their diabetes went in a year (Efron et al. 2004).

    The table comes with scikit-learn: nothing to download.

    Args:
        **options: See `BaseDataModule`; `root` is not used.
    """

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the measurements in their own units, no words, and the disease progression."""
        numbers, targets = load_diabetes(return_X_y=True, scaled=False)
        return numbers, np.empty((len(numbers), 0), dtype=object), targets
