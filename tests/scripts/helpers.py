import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from datamodules import DigitsDataModule
from scripts.cli import LitzooCLI, run

CONFIGS = Path(__file__).parents[2] / "configs"
MLP = ["--config", str(CONFIGS / "digits_mlp.yaml")]
TABLE = ["--config", str(CONFIGS / "diabetes_regressor.yaml")]
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--test_after_fit=false"]


def litzoo(subcommand: str, *options: str) -> LitzooCLI:
    """Runs the command in this process, on the CPU and without bars; later options win."""
    return run([subcommand, *QUIET, *options])


def short_fit(*options: str) -> LitzooCLI:
    """Trains a perceptron on the embedded digits for two steps."""
    return litzoo("fit", *MLP, *SHORT, *options)


def files_in(folder: Path) -> set[str]:
    """Names the files below a folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def lines_of_error(
    main: Callable[[], None],
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Runs a command as from a terminal, and returns the lines of its error."""
    monkeypatch.setattr(sys, "argv", ["litzoo", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.err[captured.err.index("litzoo: error:") :].splitlines()


class FewDigits(DigitsDataModule):
    """The digits from 0 to 4: a data set with another number of classes."""

    class_names = tuple("01234")

    def read(self, train):
        pictures, targets = super().read(train)
        return pictures[targets < 5], targets[targets < 5]


class DiesInEpoch(Callback):
    """Ends a run as a crash would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("killed")


class CountsSteps(Callback):
    """Counts the training steps it hears of."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_end(self, *_):
        self.steps += 1
