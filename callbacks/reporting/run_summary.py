import math
import os
import shutil
import sys
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.table import Table

from litzoo.callbacks.files import read_json, run_folder_of, shown, write_json
from litzoo.callbacks.reporting.history import EpochHistory


class RunSummary(EpochHistory):
    """Keeps `metrics.json` in the run folder, and prints what a test found and where it all is.

    `metrics.json` is one flat object, metric name -> number: the training and validation metrics of the best epoch
    (the one in `best.ckpt`), and the test's. `fit`, `validate` and `test` each rewrite their part. What `validate` and
    `test` find for `last.ckpt` goes to `metrics_last.json` instead.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the best epoch's metrics, and forgets those of an earlier training in the same folder.

        It is the last thing a training does: where the file is, the checkpoints have all that callbacks put into them.
        """
        run_folder = run_folder_of(trainer)
        if trainer.is_global_zero and self.history:
            write_json(run_folder / "metrics.json", self._best_epoch(trainer))
            (run_folder / "metrics_last.json").unlink(missing_ok=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rewrites the validation metrics after `validate`."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "validate":
            self._rewrite(trainer, "val/")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rewrites the test metrics, and prints them."""
        self._rewrite(trainer, "test/")

    def _best_epoch(self, trainer: Trainer) -> dict[str, float]:
        checkpoint = trainer.checkpoint_callback
        monitor = getattr(checkpoint, "monitor", None)
        # What is no number is never the best one.
        scored = [entry for entry in self.history if not math.isnan(entry.get(str(monitor), math.nan))]
        if not scored:
            return self.history[-1]
        best = max if getattr(checkpoint, "mode", "min") == "max" else min
        return best(scored, key=lambda entry: entry[str(monitor)])

    def _rewrite(self, trainer: Trainer, prefix: str) -> None:
        run_folder = run_folder_of(trainer)
        if not trainer.is_global_zero:
            return
        checkpoint = Path(str(trainer.ckpt_path)).absolute()
        own = checkpoint.parent == (run_folder / "checkpoints").absolute()
        path = run_folder / ("metrics_last.json" if own and checkpoint.name == "last.ckpt" else "metrics.json")
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
        kept = read_json(path)
        if not own or checkpoint.name in ("best.ckpt", "last.ckpt"):  # no file is about others of this run's
            write_json(path, {name: value for name, value in kept.items() if not name.startswith(prefix)} | found)
        _print_summary(found, run_folder)


def _print_summary(metrics: dict[str, float], run_folder: Path) -> None:
    console = Console()
    table = Table("metric", "value", title=f"{next(iter(metrics), '').split('/')[0]} metrics")
    classes = {name: value for name, value in metrics.items() if name.startswith("test/acc/")}
    for name, value in metrics.items():
        if name not in classes:
            table.add_row(name, f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}")
    if classes:
        worst = min(classes, key=lambda name: classes[name])
        table.add_row(f"{worst} (lowest class)", f"{classes[worst]:.4f}")
    console.print(table)
    on_path = shutil.which("tensorboard")
    tensorboard = "tensorboard" if on_path else os.path.relpath(Path(sys.executable).with_name("tensorboard"))
    for label, place in [
        ("run folder", shown(run_folder)),
        ("figures", shown(run_folder / "figures")),
        ("TensorBoard", f"{tensorboard} --logdir {shown(run_folder.parent)}"),
    ]:
        console.print(f"{label:12} {place}", soft_wrap=True, highlight=False)
