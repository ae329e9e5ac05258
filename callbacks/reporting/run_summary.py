import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from rich.table import Table

from litzoo.callbacks.checkpoints.best_and_last import starts_new_training
from litzoo.callbacks.files import display_path, read_json, run_folder_of, write_json
from litzoo.callbacks.reporting.history import EpochHistory
from litzoo.datamodules.counted import counted


class RunSummary(EpochHistory):
    """Writes `metrics.json` into the run folder, and after a test prints its metrics and the run's paths.

    `metrics.json` is a flat object, metric name -> number: the metrics of the best validation (that of the weights in
    `best.ckpt`), the training metrics of its epoch, and the test metrics. `fit`, `validate` and `test` each replace
    their own metrics; where a `validate` of `best.ckpt` differs from the training's own validation, since its options
    do, that stays, with a warning. `validate` and `test` of `last.ckpt` write to `metrics_last.json` instead.

    A callback or module with a list `remarks` has them printed below the metrics of a test.

    Attributes:
        validations: One entry per validation: `epoch` and the value of each `val/...` metric.
    """

    def __init__(self) -> None:
        super().__init__()
        self.validations: list[dict[str, float]] = []
        self._before_validation: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the validations for a new training; those of a checkpoint are restored later."""
        super().setup(trainer, pl_module, stage)
        if starts_new_training(trainer, stage):
            self.validations = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Records that the weights change: an epoch's entry has the validation metrics of its last weights, or none."""
        self._validated = False

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the best epoch's metrics, and removes those of an earlier training in the same folder.

        This runs last: once the file is there, all callbacks have written their state into the checkpoints.
        """
        run_folder = run_folder_of(trainer)
        if trainer.is_global_zero and self.history:
            write_json(run_folder / "metrics.json", self._best_epoch(trainer))
            (run_folder / "metrics_last.json").unlink(missing_ok=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the metrics of earlier validations, which `callback_metrics` keeps until they are logged again."""
        self._before_validation = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds an entry for the validation; replaces the validation metrics after `validate`."""
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "validate":
            self._replace(trainer, "val/")
        elif not trainer.sanity_checking:
            logged = {
                name: float(value)
                for name, value in trainer.callback_metrics.items()
                if name.startswith("val/") and value is not self._before_validation.get(name)
            }
            self.validations.append({"epoch": trainer.current_epoch, **logged})

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replaces the test metrics, and prints them."""
        self._replace(trainer, "test/")

    def _best_epoch(self, trainer: Trainer) -> dict[str, float]:
        checkpoint = trainer.checkpoint_callback
        monitor = getattr(checkpoint, "monitor", None)
        validated = str(monitor).startswith("val/")
        entries = [entry for entry in (self.validations if validated else self.history) if monitor in entry]
        if not entries:
            return self.history[-1]
        best, worst = (max, -math.inf) if getattr(checkpoint, "mode", "min") == "max" else (min, math.inf)

        def score(entry: dict[str, float]) -> float:
            return worst if math.isnan(entry[str(monitor)]) else entry[str(monitor)]

        chosen = best(entries, key=score)  # the first of equals, as in `best.ckpt`
        if not validated:
            return chosen
        epoch = next((entry for entry in self.history if entry["epoch"] == chosen["epoch"]), {})
        return {**{name: value for name, value in epoch.items() if not name.startswith("val/")}, **chosen}

    def _replace(self, trainer: Trainer, prefix: str) -> None:
        run_folder = run_folder_of(trainer)
        if not trainer.is_global_zero:
            return
        checkpoint = Path(str(trainer.ckpt_path)).absolute()
        own = checkpoint.is_relative_to(run_folder.absolute())
        named = checkpoint.parent == (run_folder / "checkpoints").absolute()
        path = run_folder / ("metrics_last.json" if named and checkpoint.name == "last.ckpt" else "metrics.json")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
        previous = read_json(path)
        differs = prefix == "val/" and path.name == "metrics.json" and _differences(metrics, previous)
        # Other checkpoints of this run (`epoch=3.ckpt`) have no metrics file.
        is_written = not own or (named and checkpoint.name in ("best.ckpt", "last.ckpt"))
        if differs and is_written:
            kept = "keeps the validation of the training, from which this one differs" if own else "has new metrics"
            rank_zero_warn(f"{display_path(path)} {kept}: {differs}")
        if is_written and not (differs and own):
            write_json(path, {name: value for name, value in previous.items() if not name.startswith(prefix)} | metrics)
        parts = [*trainer.callbacks, trainer.lightning_module]  # type: ignore[attr-defined]
        remarks = [each for part in parts for each in getattr(part, "remarks", ())]
        weights = self._weights(checkpoint.name, run_folder) if own and is_written else None
        _print_summary(metrics, run_folder, remarks if prefix == "test/" else [], weights)

    def _weights(self, checkpoint: str, run_folder: Path) -> str:
        """Returns a checkpoint of the run, and after how many epochs it was saved: those of the history in it."""
        after = len({entry["epoch"] for entry in self.history})
        epochs = read_json(run_folder / "run.json").get("epochs")
        if not after:
            return checkpoint
        if isinstance(epochs, int) and epochs >= after:
            return f"{checkpoint}, after {after} of {counted(epochs, 'epoch', 'epochs')}"
        return f"{checkpoint}, after {counted(after, 'epoch', 'epochs')}"

    def state_dict(self) -> dict[str, Any]:
        """Returns history and validations, so that a resumed run reports on all of them."""
        return {**super().state_dict(), "validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores history and validations; in checkpoints of 0.1 each epoch counts as one validation."""
        super().load_state_dict(state_dict)
        self.validations = list(state_dict.get("validations", self.history))


def _differences(metrics: dict[str, float], previous: dict[str, float]) -> str:
    """Returns in words where metrics differ from earlier ones by more than rounding; empty if nowhere."""
    return ", ".join(
        f"{name} {value:.6g}, not {previous[name]:.6g}"
        for name, value in metrics.items()
        if isinstance(previous.get(name), (int, float))
        and not math.isclose(value, previous[name], rel_tol=1e-4, abs_tol=1e-7)
        and not (math.isnan(value) and math.isnan(previous[name]))
    )


def _rounded(value: float) -> str:
    """Returns a metric with four decimals; a large one without, a small one with three significant digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"


def _print_summary(
    metrics: dict[str, float], run_folder: Path, remarks: Sequence[str] = (), weights: str | None = None
) -> None:
    console = Console()
    table = Table("metric", "value", title=f"{next(iter(metrics), '').split('/')[0]} metrics")
    per_class = {name: value for name, value in metrics.items() if name.startswith("test/acc/")}
    for name, value in metrics.items():
        if name not in per_class and not name.startswith("test/corrections/"):  # counts, which a remark has
            table.add_row(name, _rounded(value))
    if per_class:
        lowest = min(per_class, key=lambda name: per_class[name])
        table.add_row(f"{lowest} (lowest class)", _rounded(per_class[lowest]))
    console.print(table)
    for remark in remarks:
        console.print(remark, soft_wrap=True, highlight=False, markup=False)
    own = Path(sys.executable).with_name("tensorboard")
    below = own.is_relative_to(Path.cwd()) and not shutil.which("tensorboard")
    tensorboard = display_path(own) if below else "tensorboard"
    for label, location in [
        *([("weights", weights)] if weights else []),
        ("run folder", display_path(run_folder)),
        ("figures", display_path(run_folder / "figures")),
        ("TensorBoard", f"{tensorboard} --logdir {display_path(run_folder.parent)}"),
    ]:
        console.print(f"{label:12} {location}", soft_wrap=True, highlight=False)
