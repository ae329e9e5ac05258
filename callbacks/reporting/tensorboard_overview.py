"""What TensorBoard shows beside metrics: training and validation in one chart, splits, config and revision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from litzoo.callbacks.files import read_json, run_folder_of

_CHARTS = "training and validation"
_SHOWN_OF_RECORD = ("command", "date", "git_revision", "hardware", "precision", "seed", "split_fingerprint", "torch")
_MAX_CLASSES = 50
"""Number of classes up to which the text lists the samples of each."""


class TensorBoardOverview(Callback):
    """Adds to TensorBoard what its metrics and figures do not say.

    The tab *Custom Scalars* has one chart for each metric, with training and validation together. The tab *Text* has
    the run (command, seed, git revision, hardware), the split and the config. They are read from the files in the run
    folder, so that those of a run without `RunRecord` or `SplitSummary` are left out.
    """

    def __init__(self) -> None:
        self._has_charts = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the texts, once the callbacks have written their files."""
        self._has_charts = False
        run_folder = run_folder_of(trainer)
        for board in _boards(trainer):
            for name, text in run_texts(run_folder).items():
                board.add_text(f"run/{name}", text, trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Describes the charts in the first epoch that has been validated, since TensorBoard reads one description."""
        if any(name.startswith("val/") for name in trainer.callback_metrics):
            self._add_charts(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Describes the charts of a training without validation."""
        self._add_charts(trainer)

    def _add_charts(self, trainer: Trainer) -> None:
        charts = chart_layout(list(trainer.callback_metrics))
        if charts and not self._has_charts:
            for board in _boards(trainer):
                board.add_custom_scalars(charts)
            self._has_charts = True


def chart_layout(names: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """Returns the layout for `SummaryWriter.add_custom_scalars`: one chart for each metric `train/...` or `val/...`.

    Metrics of single classes are left out. Tags are anchored, since TensorBoard takes them for patterns: `val/acc`
    alone would also draw `best/val/acc`.
    """
    parts = [name.split("/") for name in names]
    metrics = sorted({each[1] for each in parts if len(each) == 2 and each[0] in ("train", "val")})
    charts = {name: ["Multiline", [f"^train/{name}$", f"^val/{name}$"]] for name in metrics if "lr-" not in name}
    return {_CHARTS: charts} if charts else {}


def run_texts(run_folder: Path) -> dict[str, str]:
    """Returns Markdown texts about a run, from the files in its folder: `command`, `config` and `split`."""
    texts: dict[str, str] = {}
    if record := read_json(run_folder / "run.json"):
        rows = [(name, f"`{record[name]}`") for name in _SHOWN_OF_RECORD if record.get(name) is not None]
        texts["command"] = _table(("", ""), rows)
    if split := read_json(run_folder / "splits.json"):
        texts["split"] = _split_text(split)
    config = run_folder / "config.yaml"
    if config.is_file():
        indented = config.read_text(encoding="utf-8").replace("\n", "\n    ")
        texts["config"] = f"    {indented}"  # Markdown's code block
    return texts


def _split_text(split: Mapping[str, Any]) -> str:
    parts = list(split["sizes"])
    per_class = split.get("per_class", {})
    rows = []
    if len(split.get("class_names", ())) <= _MAX_CLASSES:
        for number, name in enumerate(split.get("class_names", ())):
            counts = [per_class[part][number] if part in per_class else "" for part in parts]
            rows.append((str(name).replace("|", "\\|"), *map(str, counts)))
    rows.append(("all", *(f"{size:,}" for size in split["sizes"].values())))
    wrong = [
        f"{fraction:.2%} of the {part} labels are wrong" for part, fraction in split.get("label_noise", {}).items()
    ]
    notes = [f"fingerprint `{split.get('fingerprint')}`, seed {split.get('seed')}", *wrong]
    return _table(("samples", *parts), rows) + "\n\n" + "; ".join(notes)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _boards(trainer: Trainer) -> list[Any]:
    """Returns TensorBoard's writers, on rank 0."""
    loggers = trainer.loggers if trainer.is_global_zero else []
    return [logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)]
