"""A training that is resumed within an epoch goes on with the next batch, and ends with the same bits."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
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
from tests.callbacks.open_set_digits import LAST, alike, digits, perceptron
from tests.training import cpu_trainer

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
    "schedule": {"model": lambda: {"scheduler": partial(StepLR, step_size=1, gamma=0.5)}},
}


class Copies(Callback):
    """Copies the run folder after every batch: what `kill -9` would leave there."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if LAST.exists():
            shutil.copytree("run", f"copies/{trainer.current_epoch}_{batch_idx}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_killed_within_an_epoch_ends_with_the_same_bits(kind, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    options = {"max_epochs": 3, "enable_checkpointing": True, **KINDS[kind]}
    data, extras, arguments = (options.pop(name, {}) for name in ("data", "callbacks", "model"))

    def train(*callbacks):
        torch.manual_seed(0)
        batches = RecordsBatches()
        model = perceptron(
            dropout=0.5, pseudo_labels=FixMatch() if kind[:4] == "pool" else None, **(arguments() if arguments else {})
        )
        others = [*(make() for make in extras), batches, *callbacks]
        every = [EpochSeed(), ExactResume(), *others, RunSummary(), BestCheckpoint(), LastCheckpoint(1)]
        trainer = cpu_trainer(callbacks=every, **options)
        trainer.fit(model, digits(**data), ckpt_path=LAST if LAST.exists() else None)
        saved = torch.load(LAST, weights_only=True)
        state = {name: saved[name] for name in ("state_dict", "optimizer_states", "epoch", "global_step")}
        return (
            batches.epochs,
            state,
            {
                path.name: path.read_text()
                for pattern in ("*.json", "*.csv")
                for path in sorted(Path("run").glob(pattern))
            },
        )

    expected, *ends = train(Copies())
    copies = sorted(Path("copies").iterdir())
    middle = len(copies) // 2
    for copy in (
        copies if kind in ("plain", "validation within the epoch") else [copies[0], *copies[middle : middle + 2]]
    ):
        shutil.rmtree("run")
        shutil.copytree(copy, "run")
        batches, *found = train()
        for epoch, steps in batches.items():
            assert steps == expected[epoch][-len(steps) :], copy.name
        assert alike(found, ends), copy.name
