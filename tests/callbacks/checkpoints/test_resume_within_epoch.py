"""A training that is resumed within an epoch goes on with the next batch, and ends with the same bits."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.optim.lr_scheduler import StepLR

from litzoo.callbacks import (
    BestCheckpoint,
    BestWeightsEarlyStopping,
    EpochSeed,
    ExactResume,
    ExponentialMovingAverage,
    LastCheckpoint,
    NoisyLabelFinder,
    PseudoLabelReport,
    RunSummary,
)
from litzoo.datamodules import SymmetricNoise
from litzoo.lit_modules import Bootstrapping, DisturbLabel, EarlyLearningRegularization, FixMatch, MixUp
from litzoo.lit_modules.losses import SparseOverParameterization
from tests.callbacks.checkpoints.test_resumed_batches import RecordsBatches
from tests.callbacks.kills import differences
from tests.callbacks.open_set_digits import LAST, digits, perceptron
from tests.training import cpu_trainer

stands_still = partial(ReduceLROnPlateau, monitor="val/loss", patience=0, threshold=9)
KINDS = {
    "plain": {},
    "workers": {"data": {"num_workers": 2}},
    "weighted": {"data": {"sampling": "weighted"}},
    "balanced": {"data": {"sampling": "balanced"}},
    "pool": {"data": {"num_labeled": 40, "unlabeled_batch_size": 40}},
    "pool and workers": {"data": {"num_labeled": 40, "unlabeled_batch_size": 40, "num_workers": 2}},
    "accumulation": {"accumulate_grad_batches": 2},
    "validation within the epoch": {"val_check_interval": 0.4},
    "max_steps": {"max_steps": 13, "max_epochs": -1},
    "moving average": {"callbacks": [partial(ExponentialMovingAverage, 0.9)]},
    "best weights": {"callbacks": [BestWeightsEarlyStopping]},
    "mixing": {"model": lambda: {"mix": MixUp()}},
    "early learning": {"model": lambda: {"loss": EarlyLearningRegularization()}},
    "over-parameterization": {"model": lambda: {"loss": SparseOverParameterization(0.5, 0.5, 0.1)}},
    "disturbed labels": {"model": lambda: {"loss": DisturbLabel(0.3)}},
    "bootstrapping": {"model": lambda: {"loss": Bootstrapping()}},
    "noisy label finder": {"callbacks": [NoisyLabelFinder], "data": {"label_noise": SymmetricNoise(0.2)}},
    "pool and report": {"callbacks": [PseudoLabelReport], "data": {"num_labeled": 40, "unlabeled_batch_size": 40}},
    "plateau": {
        "model": lambda: {"scheduler": partial(ReduceLROnPlateau, monitor="val/loss", patience=0, threshold=9)}
    },
    "plateau and max_steps": {
        "model": lambda: {"scheduler": partial(ReduceLROnPlateau, monitor="val/loss", patience=0, threshold=9)},
        "max_steps": 13,
        "max_epochs": -1,
    },
    "validation every second epoch": {"check_val_every_n_epoch": 2, "max_epochs": 4},
    "no validation": {"limit_val_batches": 0},
    "some batches": {"limit_train_batches": 3},
    "schedule": {"model": lambda: {"scheduler": partial(StepLR, step_size=1, gamma=0.5)}},
}
ALWAYS = ("plain", "validation within the epoch", "plateau")
"""Kinds that are killed at every moment; the others at some."""
STEPS = 5  # batches an epoch


class Copies(Callback):
    """Copies the run folder after every batch and around a validation: what `kill -9` would leave there."""

    def _copy(self, name):
        if LAST.exists():
            shutil.copytree("run", f"copies/{name}", dirs_exist_ok=True)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._copy(f"{trainer.current_epoch}_{batch_idx}")

    def on_validation_start(self, trainer, pl_module):
        self._copy(f"{trainer.current_epoch}_{trainer.fit_loop.batch_idx}_validation")

    def on_validation_end(self, trainer, pl_module):
        self._copy(f"{trainer.current_epoch}_{trainer.fit_loop.batch_idx}_validation_end")

    def on_train_epoch_end(self, trainer, pl_module):
        self._copy(f"{trainer.current_epoch}_end")


class Ends(Callback):
    """Sends this process SIGTERM in a hook, once."""

    def __init__(self, hook, epoch, batch):
        self.epoch, self.batch = epoch, batch
        setattr(self, hook, self.signal)

    def signal(self, trainer, *_):
        if trainer.ckpt_path is None and (trainer.current_epoch, trainer.fit_loop.batch_idx) == (
            self.epoch,
            self.batch,
        ):
            os.kill(os.getpid(), signal.SIGTERM)


def train(kind, *callbacks, last=None, ckpt_path=None):
    """Trains; returns the batches of each epoch, and what is left in the end."""
    options = {"max_epochs": 3, "enable_checkpointing": True, **KINDS[kind]}
    data, extras, arguments = (options.pop(name, {}) for name in ("data", "callbacks", "model"))
    torch.manual_seed(0)
    batches = RecordsBatches()
    model = perceptron(
        dropout=0.5, pseudo_labels=FixMatch() if kind[:4] == "pool" else None, **(arguments() if arguments else {})
    )
    others = [*(make() for make in extras), batches, *callbacks]
    every = [EpochSeed(), ExactResume(), *others, RunSummary(), BestCheckpoint(), last or LastCheckpoint()]
    trainer = cpu_trainer(callbacks=every, **options)
    trainer.fit(model, digits(**data), ckpt_path=ckpt_path)
    saved = torch.load(LAST, weights_only=True)
    names = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    state = {name: saved[name] for name in names}
    state["steps"] = saved["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
    files = {
        path.name: path.read_text() for pattern in ("*.json", "*.csv") for path in sorted(Path("run").glob(pattern))
    }
    return batches.epochs, (state, files)


def require_same(resumed, expected, name):
    (batches, found), (all_batches, ends) = resumed, expected
    for epoch, steps in batches.items():
        assert steps == all_batches[epoch][-len(steps) :], name
    assert differences(found, ends) == [], name


@pytest.fixture(autouse=True)
def seed(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_killed_within_an_epoch_ends_with_the_same_bits(kind):
    expected = train(kind, Copies(), last=LastCheckpoint(1))
    copies = sorted(Path("copies").iterdir())
    middle = len(copies) // 2
    for copy in copies if kind in ALWAYS else [copies[0], *copies[middle : middle + 3]]:
        shutil.rmtree("run")
        shutil.copytree(copy, "run")
        require_same(train(kind, last=LastCheckpoint(1), ckpt_path=LAST), expected, copy.name)


@pytest.mark.parametrize("kind", ["plain", "workers", "pool", "accumulation", "no validation", "plateau", "max_steps"])
def test_the_checkpoints_of_another_callback_are_resumed_exactly(kind):
    """Also those after the last batch of an epoch, before its validation."""
    own = partial(ModelCheckpoint, "run/own", "{step}", save_top_k=-1, every_n_train_steps=2)
    expected = train(kind, own())
    shutil.copytree("run", "unbroken")
    names = sorted(path.name for path in Path("run/own").iterdir())
    assert len(names) > 3
    for name in names:
        shutil.rmtree("run")
        shutil.copytree("unbroken", "run")
        require_same(train(kind, own(), ckpt_path=f"run/own/{name}"), expected, name)


@pytest.mark.parametrize(
    ("kind", "hook", "batch"),
    [
        ("plain", "on_train_batch_start", 1),
        ("plain", "on_train_batch_start", 4),
        ("plain", "on_train_epoch_end", 4),
        ("accumulation", "on_train_batch_start", 1),
        ("accumulation", "on_train_batch_end", 2),  # its gradient waits for that of another batch
        ("validation within the epoch", "on_train_batch_start", 1),
        ("validation within the epoch", "on_validation_batch_start", 1),
        ("validation within the epoch", "on_validation_end", 3),
        ("moving average", "on_validation_batch_start", 4),
        ("noisy label finder", "on_train_batch_start", 4),
        ("noisy label finder", "on_validation_batch_start", 4),
    ],
)
def test_sigterm_saves_what_is_resumed_with_the_next_batch(kind, hook, batch):
    expected = train(kind)
    shutil.rmtree("run")
    ends = Ends(hook, 1, batch)
    try:
        found = train(kind, ends)
    except SIGTERMException:
        found = train(kind, ckpt_path=LAST)
        assert len(found[0].get(1, [])) == STEPS - batch - 1
    require_same(found, expected, hook)
