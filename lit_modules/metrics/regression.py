from typing import Any

from torchmetrics import R2Score


class R2(R2Score):
    """Coefficient of determination: 1 is perfect, 0 no better than predicting the mean.

    torchmetrics raises for fewer than two samples; here the metric is left out.
    """

    def compute(self) -> Any:
        """Returns `{"r2": value}`, or `{}` for fewer than two samples."""
        return {"r2": super().compute()} if self.total > 1 else {}
