import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from lightning.pytorch import Callback

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run
from litzoo.scripts.compare.worker import LITZOO, start

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


def leave_undrawn(patched: pytest.MonkeyPatch) -> None:
    """Has figures made and published, but not drawn, which takes half of a short command: their files are black."""
    blank = np.zeros((6, 6, 3), np.uint8)
    patched.setattr("litzoo.callbacks.reporting.figures._drawn", lambda figure: blank)


@contextmanager
def undrawn_in(folder: Path) -> Iterator[None]:
    """Has the command work in a folder, leave figures undrawn and the environment as it was."""
    with pytest.MonkeyPatch.context() as patched, patch.dict(os.environ):
        patched.chdir(folder)
        leave_undrawn(patched)
        yield


def litzoo_anew(*words: str) -> tuple[int | None, str]:
    """Runs the command in a process that has imported it and done nothing else, as a new one, but for the seconds.

    Returns:
        Its exit status, and what it has printed.
    """
    left = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "PL_GLOBAL_SEED")  # by the command in this process
    environment = {name: value for name, value in os.environ.items() if name not in left}
    with tempfile.NamedTemporaryFile() as log:
        process = start(LITZOO, words, environment, Path(log.name), [])
        process.join()
        return process.exitcode, log.read().decode()


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
        images, targets = super().read(train)
        return images[targets < 5], targets[targets < 5]


class DiesInEpoch(Callback):
    """Ends a run as a crash would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("killed")


class CopiesRunFolder(Callback):
    """Copies the run folder to `killed` in the middle of the second epoch: what `kill -9` would leave there."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 1):
            shutil.copytree(trainer.log_dir, "killed")


class Signals(Callback):
    """Sends its own process a signal, in the middle of an epoch of a training that is not resumed, or in its end."""

    def __init__(self, number: int, epoch: int) -> None:
        self.number, self.epoch = number, epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.ckpt_path is None and (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            os.kill(os.getpid(), self.number)

    def on_train_end(self, trainer, pl_module):
        if trainer.ckpt_path is None and trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), self.number)


class SignalsWhileLooking(Callback):
    """Sends its own process a signal with the first batch that is looked at."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_test_batch_start(self, *_):
        os.kill(os.getpid(), self.number)

    on_validation_batch_start = on_predict_batch_start = on_test_batch_start


class Dawdles(Callback):
    """Takes its time with every batch, so that there is some to kill it in."""

    def on_train_batch_start(self, *_):
        time.sleep(0.05)

    on_validation_batch_start = on_train_batch_start


class CountsSteps(Callback):
    """Counts the training steps it hears of."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_end(self, *_):
        self.steps += 1
