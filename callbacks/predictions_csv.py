import csv
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.classified_tests import NamesClasses
from lit_modules.metrics import EpochOutputs


class PredictionsCSV(Callback):
    """Writes `predictions.csv` into the run folder: index, prediction and, for classes, confidence and class name."""

    def __init__(self) -> None:
        self._outputs: EpochOutputs | None = None

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keeps what the predict step returned."""
        if self._outputs is None:
            self._outputs = EpochOutputs(*(name for name in ("prediction", "confidence") if name in outputs))
        self._outputs.update(outputs)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers from all processes and writes on the first one."""
        run_folder = trainer.log_dir
        if self._outputs is None:
            return
        columns = {name: values.tolist() for name, values in self._outputs.compute().items()}
        self._outputs = None
        if not trainer.is_global_zero:
            return
        if isinstance(pl_module, NamesClasses):
            columns["class_name"] = [pl_module.class_names[label] for label in columns["prediction"]]
        path = Path(run_folder or trainer.default_root_dir) / "predictions.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        print(f"{len(columns['index'])} predictions in {path}")
