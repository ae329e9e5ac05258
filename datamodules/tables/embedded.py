"""Tables that come with scikit-learn: no download."""

from typing import Any

import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from litzoo.datamodules.tables.base import TableDataModule
from litzoo.datamodules.tables.targets import NumberTargets, RowClasses


class DiabetesDataModule(NumberTargets, TableDataModule):
    """Diabetes: ten measurements of 442 patients, and their disease progression in a year (Efron et al. 2004).

    The table comes with scikit-learn: no download.

    Args:
        **options: See `BaseDataModule`; `root` is not used.
    """

    where, target = "diabetes", "progression"

    def read_frame(self) -> pd.DataFrame:
        """Returns the measurements in their own units, and the disease progression."""
        return _frame(load_diabetes(scaled=False), self.target)


class BreastCancerDataModule(RowClasses, TableDataModule):
    """Breast cancer (Wolberg et al. 1995): thirty measurements of cell nuclei in 569 tumours, malignant or benign.

    The table comes with scikit-learn: no download. A fifth of the rows, stratified, is held out for testing.

    Args:
        **options: See `ClassLabels`, `RowClasses` and `BaseDataModule`; `root` is not used.
    """

    where, target = "breast_cancer", "diagnosis"
    class_names = ("malignant", "benign")

    def read_frame(self) -> pd.DataFrame:
        """Returns the measurements and the class names."""
        return _frame(load_breast_cancer(), self.target, self.file_class_names)


class WineDataModule(RowClasses, TableDataModule):
    """Wine (Forina et al. 1991): thirteen measurements of 178 wines from three cultivars.

    The table comes with scikit-learn: no download. A fifth of the rows, stratified, is held out for testing.

    Args:
        **options: See `ClassLabels`, `RowClasses` and `BaseDataModule`; `root` is not used.
    """

    where, target = "wine", "cultivar"
    class_names = ("cultivar 1", "cultivar 2", "cultivar 3")

    def read_frame(self) -> pd.DataFrame:
        """Returns the measurements and the class names."""
        return _frame(load_wine(), self.target, self.file_class_names)


def _frame(table: Any, target: str, class_names: tuple[str, ...] = ()) -> pd.DataFrame:
    frame = pd.DataFrame(table.data, columns=table.feature_names)
    return frame.assign(**{target: [class_names[label] for label in table.target] if class_names else table.target})
