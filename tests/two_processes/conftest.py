import fcntl
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier
from tests.data import builders
from tests.training import cpu_trainer
from tests.two_processes.processes import PROCESSES, in_two_processes
from tests.two_processes.scenarios import TINY_TESTS, scenarios


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the two processes worked in, once for all of pytest's own processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "two_processes"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _prepare(folder)
            with patch.dict(os.environ):
                in_two_processes(scenarios, folder)
    return folder


@pytest.fixture(scope="session")
def found(shared_folder: Path) -> list[dict[Any, Any]]:
    """What each of the two processes saw."""
    return [torch.load(shared_folder / f"found_{rank}.pt") for rank in range(PROCESSES)]


@pytest.fixture
def folder(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the two processes worked in; the current one too."""
    monkeypatch.chdir(shared_folder)
    return shared_folder


def _prepare(folder: Path) -> None:
    """Makes checkpoints of modules with 10 and with 7 classes, and tiny test sets."""
    folder.mkdir()
    for name, size in TINY_TESTS.items():
        builders.write_mnist(folder / name, test=size)
    for classes in (10, 7):
        torch.manual_seed(classes)
        module, trainer = MLPClassifier((1, 28, 28), classes, hidden=[16]), cpu_trainer(default_root_dir=folder)
        trainer.fit(module, datamodule=DigitsDataModule(known_classes=list("0123456789"[:classes])))
        trainer.save_checkpoint(folder / f"{classes}_classes.ckpt")
