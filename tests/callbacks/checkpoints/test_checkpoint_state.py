"""The detector's state in checkpoints: written atomically, fitted to their weights, added by resumed runs."""

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from litzoo.callbacks import BestWeightsEarlyStopping, MaxLogit, NearestNeighbors, UnknownClassDetector, files
from tests.callbacks.kills import Interrupts
from tests.callbacks.open_set_digits import BEST, LAST, alike, digits, evidence, fit, module_in, perceptron, state_in


def detector():
    return UnknownClassDetector(MaxLogit(), report=[NearestNeighbors(5)])


def fits_its_weights(path):
    """Whether a checkpoint's scores are those of its own weights on the validation samples."""
    values = MaxLogit()(evidence(module_in(path), digits(), "val")[0]).sort().values
    found = state_in(path).get("known_scores")
    return found is not None and torch.allclose(found, values, atol=1e-5)


def names():
    return sorted(path.name for path in BEST.parent.iterdir())


class KeepsCopies(UnknownClassDetector):
    """Copies the checkpoints before it adds its state to them."""

    @property
    def state_key(self):
        return "UnknownClassDetector"

    def on_fit_end(self, trainer, pl_module):
        shutil.copytree(BEST.parent, "before")
        super().on_fit_end(trainer, pl_module)


def test_nothing_else_in_a_checkpoint_changes():
    fit(KeepsCopies(MaxLogit(), report=[NearestNeighbors(5)]))
    for path in (BEST, LAST):
        after, before = torch.load(path, weights_only=True), torch.load(Path("before", path.name), weights_only=True)
        assert "UnknownClassDetector" not in before["callbacks"]
        assert after["callbacks"].pop("UnknownClassDetector")
        assert alike(after, before)
    assert names() == ["best.ckpt", "last.ckpt"]


class CannotWrite(KeepsCopies):
    """Finds the disk full when it adds its state to the checkpoints."""

    def on_fit_end(self, trainer, pl_module):
        with patch.object(files.os, "fsync", side_effect=OSError("disk full")):
            super().on_fit_end(trainer, pl_module)


def test_a_write_that_fails_leaves_the_checkpoints_as_they_were():
    with pytest.raises(OSError, match="disk full"):
        fit(CannotWrite(MaxLogit()))
    assert names() == ["best.ckpt", "last.ckpt"]
    for path in (BEST, LAST):
        assert path.read_bytes() == Path("before", path.name).read_bytes()


def test_checkpoints_of_an_unfinished_training_have_no_state():
    with pytest.raises(RuntimeError, match="killed"):
        fit(detector(), Interrupts(1))
    assert state_in(LAST) == state_in(BEST) == {}


def test_a_resumed_training_ends_with_the_state_of_an_uninterrupted_one():
    fit(detector(), default_root_dir="uninterrupted")
    with pytest.raises(RuntimeError, match="killed"):
        fit(detector(), Interrupts(2))
    fit(detector(), ckpt_path=LAST)
    for path in (BEST, LAST):
        assert fits_its_weights(path)
        assert alike(state_in(path), state_in(Path("uninterrupted", *path.parts[1:])))


def test_a_longer_training_that_is_killed_leaves_no_state_of_other_weights():
    fit(detector(), max_epochs=1)
    assert fits_its_weights(LAST)
    with pytest.raises(RuntimeError, match="killed"):
        fit(detector(), Interrupts(3), max_epochs=5, ckpt_path=LAST)
    assert torch.load(LAST, weights_only=True)["epoch"] == 2
    assert state_in(LAST) == {}
    assert fits_its_weights(BEST)  # of the first epoch, as it was
    fit(detector(), max_epochs=5, ckpt_path=LAST)
    assert fits_its_weights(LAST)
    assert fits_its_weights(BEST)


def test_a_second_training_that_is_killed_leaves_no_state_of_the_first_one():
    callback = detector()
    fit(callback)
    with pytest.raises(RuntimeError, match="killed"):
        fit(callback, Interrupts(1), default_root_dir="second")
    assert state_in(Path("second/checkpoints/last.ckpt")) == {}


def test_resuming_a_finished_training_adds_the_state_without_training():
    trainer, _, _ = fit(Callback())
    before = {path: torch.load(path, weights_only=True)["state_dict"] for path in (BEST, LAST)}
    assert state_in(BEST) == {}
    resumed, _, _ = fit(detector(), ckpt_path=LAST)
    assert resumed.global_step == trainer.global_step
    for path in (BEST, LAST):
        after = torch.load(path, weights_only=True)["state_dict"]
        assert all(torch.equal(values, after[name]) for name, values in before[path].items())
        assert fits_its_weights(path)


def test_resuming_a_training_ended_by_early_stopping_adds_the_state():
    def stops():
        return BestWeightsEarlyStopping(patience=1, mode="max")

    fit(stops(), max_epochs=9)
    assert torch.load(LAST, weights_only=True)["epoch"] < 8
    fit(detector(), stops(), max_epochs=9, ckpt_path=LAST)
    assert fits_its_weights(LAST)
    assert fits_its_weights(BEST)


def test_a_checkpoint_without_state_resets_the_detector():
    used = detector()
    fit(Callback(), default_root_dir="without")
    trainer, model, datamodule = fit(used)
    path = Path("without/checkpoints/best.ckpt")
    with pytest.raises(ValueError, match="the checkpoint lacks the threshold"):
        trainer.test(model, datamodule, ckpt_path=path, verbose=False)


def test_without_checkpoints_it_fits_the_final_weights():
    used, model, datamodule = detector(), perceptron(), digits()
    trainer, _, _ = fit(used, model=model, datamodule=datamodule, enable_checkpointing=False, callbacks=[used])
    values = MaxLogit()(evidence(model, datamodule, "val")[0]).sort().values
    torch.testing.assert_close(used.detection.known_scores, values)
    assert trainer.test(model, datamodule, verbose=False)[0]["test/unknown/auroc"] > 0


def test_fast_dev_run_fits_nothing():
    used = detector()
    fit(used, fast_dev_run=2)
    assert used.detection.missing() == ["the threshold"]
    assert list(used.detection.usable) == ["MaxLogit"]
    assert not Path("run").exists()


def test_every_checkpoint_gets_the_state_except_one_saved_with_save_weights_only():
    several = ModelCheckpoint(filename="{epoch}", save_top_k=2, monitor="val/loss", dirpath="several")
    weights = ModelCheckpoint(filename="weights", save_weights_only=True, dirpath="weights")
    fit(detector(), several, weights)
    kept = sorted(Path("several").iterdir())
    assert len(kept) == 2
    assert all(map(fits_its_weights, [BEST, LAST, *kept]))
    assert "callbacks" not in torch.load("weights/weights.ckpt", weights_only=True)
