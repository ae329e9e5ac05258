import numpy as np
from sklearn.datasets import load_diabetes

from litzoo.datamodules.tables.base import TableDataModule


class DiabetesDataModule(TableDataModule):
    """Diabetes: ten measurements of 442 patients, and their disease progression in a year (Efron et al. 2004).

    The table comes with scikit-learn: no download.

    Args:
        **options: See `BaseDataModule`; `root` is not used.
    """

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the measurements in their own units, no categorical columns, and the disease progression."""
        numbers, targets = load_diabetes(return_X_y=True, scaled=False)
        return numbers, np.empty((len(numbers), 0), dtype=object), targets
