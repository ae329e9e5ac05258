import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.scripts.helpers import MLP, leave_undrawn, litzoo, undrawn_in
from tests.scripts.refusals import Refused, check_refusal
from tests.scripts.trained_digits import train_digits


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Runs a command that has to be refused, see `check_refusal`."""
    return partial(check_refusal, capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def drawn_figures() -> None:
    """Has the command's figures drawn."""


@pytest.fixture(autouse=True)
def _figures(request: pytest.FixtureRequest, coarse_figures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves figures of runs undrawn, unless a test asks for them (test_configs.py draws all), and others coarse."""
    if "drawn_figures" not in request.fixturenames:
        leave_undrawn(monkeypatch)


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/digits_mlp/version_0`, trained for two short epochs and tested. Not to be written into."""
    folder = tmp_path_factory.mktemp("trained")
    with undrawn_in(folder):
        litzoo("fit", *MLP, "--trainer.max_epochs=2", "--trainer.limit_train_batches=10")
    return folder


@pytest.fixture
def trained(trained_folder: Path, tmp_path: Path) -> Path:
    """The run folder `runs/digits_mlp/version_0` of a short training, a copy in the test's own folder."""
    shutil.copytree(trained_folder / "runs", tmp_path / "runs")
    return tmp_path / "runs" / "digits_mlp" / "version_0"


@pytest.fixture(scope="session")
def best_ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small CNN with fitted unknown-class detection. Not to be written into."""
    return train_digits(tmp_path_factory.mktemp("trained"))
