import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torchvision
from torch.utils.data import BatchSampler, DataLoader

from tests.counted import COUNTS
from tests.data import builders, further

REAL_DATA = Path(os.environ.get("LITZOO_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny genuine files of every data set that is read from files."""
    root = tmp_path_factory.mktemp("data")
    builders.write_mnist(root, "MNIST")
    builders.write_mnist(root, "FashionMNIST")
    builders.write_mnist(root, "KMNIST")
    builders.write_cifar10(root)
    further.write_cifar100(root)
    builders.write_image_folder(root / "cifar10")
    builders.write_image_folder(root / "few_digits" / "labeled", train=100, test=20)
    builders.write_unlabeled(root / "few_digits" / "unlabeled")
    builders.write_housing(root)
    builders.write_instances(root / "nuclei" / "train", 24)
    builders.write_instances(root / "nuclei" / "test", 8, seed=1)
    builders.write_instances(root / "PennFudanPed", 34, seed=2)
    return root


@pytest.fixture
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torchvision read files of CIFAR-10 and CIFAR-100 that are not the original ones."""
    for cifar in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
        for name in ("train_list", "test_list"):
            monkeypatch.setattr(cifar, name, [[file, None] for file, _ in getattr(cifar, name)])
        monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": None})


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets; the test is skipped where there is none."""
    if not (REAL_DATA / "MNIST").is_dir():
        pytest.skip(f"the real data sets are not in {REAL_DATA}; name their folder with LITZOO_DATA_DIR")
    return REAL_DATA


@pytest.fixture
def coarse_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws figures with a quarter of the pixels a side."""
    monkeypatch.setattr("litzoo.callbacks.reporting.figures.DPI", 30)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs each test in a folder of its own: nothing is written into the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LITZOO_DATA_DIR", raising=False)
    for name in ("PL_GLOBAL_SEED", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"):  # of a fixture that lasts longer than a test
        monkeypatch.delenv(name, raising=False)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Undoes what a run leaves in the environment for processes that it might start: its seed and its folder."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def _own_loaders() -> Iterator[None]:
    """Undoes Lightning's changes of torch's classes, which it leaves behind when a datamodule's loader raises."""
    yield
    for changed in (DataLoader, BatchSampler):
        for name in ("__init__", "__setattr__", "__delattr__"):
            if f"__old{name}" in vars(changed):
                setattr(changed, name, vars(changed)[f"__old{name}"])
                delattr(changed, f"__old{name}")


def pytest_configure() -> None:
    """Takes Ctrl-C for what it is: a shell has it ignored by what it starts in the background. Processes find tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = [str(Path(__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, dict.fromkeys(found)))


def pytest_collection_finish() -> None:
    """Takes all that was imported from the search for garbage, of which each took half a second."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands what one of several processes has counted to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counts"] = dict(COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Adds up what the processes have counted."""
    COUNTS.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was tried, last of all."""
    if COUNTS:
        terminalreporter.section("tried, and went well")
        terminalreporter.write_line(", ".join(f"{what}: {number}" for what, number in sorted(COUNTS.items())))
