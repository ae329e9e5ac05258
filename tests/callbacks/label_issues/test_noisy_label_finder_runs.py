"""What the finder reports for runs that are interrupted and resumed."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from litzoo.callbacks import LastCheckpoint, NoisyLabelFinder
from tests.callbacks.noisy_digits import fit, mean_losses, suspects


class Interrupts(Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            raise self.error


@pytest.fixture(scope="module")
def five_epochs(tmp_path_factory):
    return fit(NoisyLabelFinder(), max_epochs=5, default_root_dir=tmp_path_factory.mktemp("five")).epochs


@pytest.mark.parametrize(
    ("epoch", "counted", "error"),
    [(1, [0], RuntimeError("killed")), (2, [1], KeyboardInterrupt()), (3, [1, 2], RuntimeError("killed"))],
)
def test_the_report_of_an_interrupted_run_covers_its_complete_epochs(epoch, counted, error, five_epochs):
    with pytest.raises((SystemExit, RuntimeError)):
        fit(NoisyLabelFinder(method="loss"), Interrupts(epoch, error), max_epochs=5)
    expected = mean_losses([five_epochs[each] for each in counted])
    rows = suspects()
    assert len(rows) == 200
    for row in rows:
        assert float(row["score"]) == pytest.approx(expected[int(row["index"])][0], rel=1e-3)


def test_a_run_interrupted_in_its_first_epoch_writes_nothing():
    with pytest.raises(RuntimeError, match="killed"):
        fit(NoisyLabelFinder(), Interrupts(0, RuntimeError("killed")))
    assert not Path("run/suspects.csv").exists()


def test_a_resumed_run_has_the_same_report():
    fit(NoisyLabelFinder(), LastCheckpoint(), max_epochs=4, enable_checkpointing=True, default_root_dir="whole")
    fit(NoisyLabelFinder(), LastCheckpoint(), max_epochs=2, enable_checkpointing=True)
    finder, checkpoint = NoisyLabelFinder(), "run/checkpoints/last.ckpt"
    fit(finder, LastCheckpoint(), max_epochs=4, enable_checkpointing=True, ckpt_path=checkpoint)
    assert Path("run/suspects.csv").read_text() == Path("whole/suspects.csv").read_text()
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)["callbacks"][finder.state_key]
    assert all(torch.equal(values, finder.statistics.seen[name]) for name, values in state["seen"].items())


@pytest.mark.parametrize("skip_epochs", [0, 5])
def test_skip_epochs_is_not_restored_from_a_checkpoint(skip_epochs):
    saved = NoisyLabelFinder(skip_epochs=2).state_dict()
    finder = NoisyLabelFinder(skip_epochs)
    finder.load_state_dict(saved)
    assert finder.skip_epochs == skip_epochs


def test_a_checkpoint_of_an_older_version_is_refused():
    with pytest.raises(ValueError, match=r"older version.*remove the callback to resume it, or train anew"):
        NoisyLabelFinder().load_state_dict({"seen": {"loss": torch.zeros(3), "count": torch.zeros(3)}})
