from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.classified_tests import NamesClasses
from callbacks.files import run_folder_of, shown, write_csv
from datamodules.batch import UNKNOWN
from lit_modules.metrics import EpochOutputs


class PredictionsCSV(Callback):
    """Writes `predictions.csv` into the run folder: index, prediction and, for classes, confidence and class name.

    With an `UnknownClassDetector` before it, `unknown_score` too, and where that is too high -1 and `unknown`.
    """

    def __init__(self) -> None:
        self._outputs: EpochOutputs | None = None

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what the predict step returned."""
        if self._outputs is None:
            self._outputs = EpochOutputs(
                *(name for name in ("prediction", "confidence", "unknown_score") if name in outputs)
            )
        self._outputs.update(outputs)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers from all processes and writes on the first one."""
        run_folder = run_folder_of(trainer)
        if self._outputs is None:
            return
        columns: dict[str, list[Any]] = {
            name: [f"{value:.6g}" for value in values.tolist()] if values.is_floating_point() else values.tolist()
            for name, values in self._outputs.gather().items()
        }
        self._outputs = None
        if not trainer.is_global_zero:
            return
        if isinstance(pl_module, NamesClasses):
            names = {UNKNOWN: "unknown", **dict(enumerate(pl_module.class_names))}
            columns["class_name"] = [names[label] for label in columns["prediction"]]
        path = run_folder / "predictions.csv"
        write_csv(path, columns)
        print(f"{len(columns['index'])} predictions in {shown(path)}")
