import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import model_checkpoint
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from litzoo.callbacks import BestCheckpoint, BestWeightsEarlyStopping, LastCheckpoint
from tests.callbacks.scripted import STEPS_AN_EPOCH, Scripted
from tests.training import cpu_trainer

FOLDER = Path("run/checkpoints")


def fit(scores, checkpoint=None, ckpt_path=None, callbacks=(), **options):
    checkpoint = checkpoint or BestCheckpoint()
    options = {"max_epochs": len(scores), "enable_checkpointing": True} | options
    trainer = cpu_trainer(callbacks=[*callbacks, checkpoint, LastCheckpoint()], **options)
    trainer.fit(Scripted(scores), ckpt_path=ckpt_path)
    return checkpoint


def epoch_of(name):
    checkpoint = torch.load(FOLDER / name, weights_only=True)
    assert checkpoint["state_dict"]["weight"].item() == STEPS_AN_EPOCH * (checkpoint["epoch"] + 1)
    return checkpoint["epoch"]


@pytest.mark.parametrize(("mode", "best"), [("min", 1), ("max", 2)])
def test_best_is_the_best_epoch_and_last_the_last(mode, best):
    checkpoint = fit([5.0, 1.0, 7.0, 3.0], BestCheckpoint(mode=mode))
    assert Path(checkpoint.best_model_path).resolve() == (FOLDER / "best.ckpt").resolve()
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (best, 3)


def test_of_equal_epochs_the_first_is_best():
    fit([2.0, 1.0, 1.0])
    assert epoch_of("best.ckpt") == 1


def test_last_is_unchanged_when_early_stopping_restores_the_best_weights():
    fit([2.0, 1.0, 3.0, 4.0, 5.0], callbacks=[BestWeightsEarlyStopping(patience=2)])
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (1, 3)


def test_there_are_never_more_than_two_files():
    fit([3.0, 2.0, 1.0])
    assert sorted(path.name for path in FOLDER.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_second_training_in_the_same_folder_overwrites():
    fit([3.0, 2.0, 1.0])
    fit([1.0, 2.0])
    assert sorted(path.name for path in FOLDER.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (0, 1)


def test_a_resumed_training_remembers_the_best_score():
    scores = [5.0, 1.0, 3.0, 2.0]
    fit(scores, max_epochs=2)
    fit(scores, ckpt_path=FOLDER / "last.ckpt")
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (1, 3)


def test_without_validation_best_is_the_last_epoch():
    fit([], max_epochs=3, limit_val_batches=0)
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (2, 2)


def test_without_a_monitor_best_is_the_last_epoch():
    checkpoint = fit([5.0, 1.0, 3.0], BestCheckpoint(monitor=None))
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (2, 2)
    assert Path(checkpoint.best_model_path).name == "best.ckpt"


def test_without_validation_a_training_can_be_resumed(recwarn):
    fit([], max_epochs=2, limit_val_batches=0)
    fit([], max_epochs=3, limit_val_batches=0, ckpt_path=FOLDER / "last.ckpt")
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (2, 2)
    assert not [w for w in recwarn if "callbacks" in str(w.message)]  # Lightning's warning that state is not restored


@pytest.mark.parametrize("sanity_steps", [0, 1])
def test_epochs_without_validation_are_skipped_without_a_warning(sanity_steps, recwarn):
    model_checkpoint.warning_cache.clear()  # it warns once per process
    scores = [9.0, 1.0, 9.0, 2.0, 9.0, 0.5]
    options = {"check_val_every_n_epoch": 2, "num_sanity_val_steps": sanity_steps}
    fit(scores, max_epochs=4, **options)
    assert epoch_of("best.ckpt") == 1
    fit(scores, ckpt_path=FOLDER / "last.ckpt", **options)
    assert epoch_of("best.ckpt") == 5
    assert not [w for w in recwarn if "could not find the monitored key" in str(w.message)]


def test_without_a_sanity_check_a_missing_metric_is_refused_at_the_first_validation():
    with pytest.raises(MisconfigurationException, match="could not find the monitored key"):
        fit([1.0, 2.0], BestCheckpoint(monitor="val/los"), num_sanity_val_steps=0)


def test_a_missing_metric_is_refused_before_training():
    with pytest.raises(ValueError, match=r"'val/los' is not logged; choose one of val/loss"):
        fit([1.0], BestCheckpoint(monitor="val/los"))
    assert not FOLDER.exists()


@pytest.mark.parametrize("change", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_a_moved_or_copied_folder_is_resumed_with_its_own_files(change):
    scores = [5.0, 1.0, 3.0, 2.0]
    fit(scores, max_epochs=2)
    change("run", "elsewhere")
    moved = Path("elsewhere/checkpoints")
    before = (FOLDER / "best.ckpt").exists() and (FOLDER / "best.ckpt").read_bytes()
    checkpoint = fit(scores, ckpt_path=moved / "last.ckpt", default_root_dir="elsewhere")
    assert Path(checkpoint.best_model_path).resolve() == (moved / "best.ckpt").resolve()
    assert checkpoint.best_model_score == 1.0
    epochs = [torch.load(moved / name, weights_only=True)["epoch"] for name in ("best.ckpt", "last.ckpt")]
    assert epochs == [1, 3]
    assert sorted(path.name for path in moved.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert not before or (FOLDER / "best.ckpt").read_bytes() == before


def test_a_second_training_in_another_folder_has_its_own_files():
    best, last = BestCheckpoint(), LastCheckpoint()
    for folder, scores in {"run": [1.0, 2.0, 3.0], "second": [30.0, 10.0, 20.0]}.items():
        trainer = cpu_trainer(callbacks=[best, last], max_epochs=3, enable_checkpointing=True, default_root_dir=folder)
        trainer.fit(Scripted(scores))
        assert Path(best.best_model_path).resolve() == Path(folder, "checkpoints/best.ckpt").resolve()
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (0, 2)
    shutil.rmtree("run")
    shutil.move("second", "run")
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (1, 2)


def test_a_trainer_that_continues_remembers_the_best_score():
    checkpoint = BestCheckpoint()
    trainer = cpu_trainer(callbacks=[checkpoint, LastCheckpoint()], max_epochs=2, enable_checkpointing=True)
    module = Scripted([1.0, 2.0, 3.0])
    trainer.fit(module)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(module)
    assert (epoch_of("best.ckpt"), epoch_of("last.ckpt")) == (0, 2)


def test_the_monitor_is_restored_after_a_training_without_validation():
    checkpoint = BestCheckpoint()
    fit([1.0, 2.0], checkpoint, limit_val_batches=0)
    assert epoch_of("best.ckpt") == 1
    cpu_trainer(callbacks=[checkpoint], enable_checkpointing=True, limit_val_batches=0).validate(Scripted([1.0]))
    fit([1.0, 2.0], checkpoint)
    assert epoch_of("best.ckpt") == 0
