import math
import os
import shutil
import sys
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.table import Table

from litzoo.callbacks.files import display_path, read_json, run_folder_of, write_json
from litzoo.callbacks.reporting.history import EpochHistory


class RunSummary(EpochHistory):
    """Writes `metrics.json` into the run folder, and after a test prints its metrics and the run's paths.

    `metrics.json` is a flat object, metric name -> number: the training and validation metrics of the best epoch (that
    of `best.ckpt`), and the test metrics. `fit`, `validate` and `test` each replace their own metrics. `validate` and
    `test` of `last.ckpt` write to `metrics_last.json` instead.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the best epoch's metrics, and removes those of an earlier training in the same folder.

        This runs last: once the file is there, all callbacks have written their state into the checkpoints.
        """
        run_folder = run_folder_of(trainer)
        if trainer.is_global_zero and self.history:
            write_json(run_folder / "metrics.json", self._best_epoch(trainer))
            (run_folder / "metrics_last.json").unlink(missing_ok=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replaces the validation metrics after `validate`."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "validate":
            self._replace(trainer, "val/")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replaces the test metrics, and prints them."""
        self._replace(trainer, "test/")

    def _best_epoch(self, trainer: Trainer) -> dict[str, float]:
        checkpoint = trainer.checkpoint_callback
        monitor = getattr(checkpoint, "monitor", None)
        # Epochs whose score is NaN are never the best.
        scored = [entry for entry in self.history if not math.isnan(entry.get(str(monitor), math.nan))]
        if not scored:
            return self.history[-1]
        best = max if getattr(checkpoint, "mode", "min") == "max" else min
        return best(scored, key=lambda entry: entry[str(monitor)])

    def _replace(self, trainer: Trainer, prefix: str) -> None:
        run_folder = run_folder_of(trainer)
        if not trainer.is_global_zero:
            return
        checkpoint = Path(str(trainer.ckpt_path)).absolute()
        own = checkpoint.parent == (run_folder / "checkpoints").absolute()
        path = run_folder / ("metrics_last.json" if own and checkpoint.name == "last.ckpt" else "metrics.json")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
        previous = read_json(path)
        # Other checkpoints of this run (`epoch=3.ckpt`) have no metrics file.
        if not own or checkpoint.name in ("best.ckpt", "last.ckpt"):
            write_json(path, {name: value for name, value in previous.items() if not name.startswith(prefix)} | metrics)
        _print_summary(metrics, run_folder)


def _print_summary(metrics: dict[str, float], run_folder: Path) -> None:
    console = Console()
    table = Table("metric", "value", title=f"{next(iter(metrics), '').split('/')[0]} metrics")
    per_class = {name: value for name, value in metrics.items() if name.startswith("test/acc/")}
    for name, value in metrics.items():
        if name not in per_class:
            table.add_row(name, f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}")
    if per_class:
        lowest = min(per_class, key=lambda name: per_class[name])
        table.add_row(f"{lowest} (lowest class)", f"{per_class[lowest]:.4f}")
    console.print(table)
    on_path = shutil.which("tensorboard")
    tensorboard = "tensorboard" if on_path else os.path.relpath(Path(sys.executable).with_name("tensorboard"))
    for label, location in [
        ("run folder", display_path(run_folder)),
        ("figures", display_path(run_folder / "figures")),
        ("TensorBoard", f"{tensorboard} --logdir {display_path(run_folder.parent)}"),
    ]:
        console.print(f"{label:12} {location}", soft_wrap=True, highlight=False)
