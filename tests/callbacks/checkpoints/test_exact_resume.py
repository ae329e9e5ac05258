"""A training that is killed at any moment and resumed ends with the same results, bit by bit."""

import json
import random
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from litzoo.callbacks import (
    BestCheckpoint,
    BestWeightsEarlyStopping,
    EpochSeed,
    ExactResume,
    ExponentialMovingAverage,
    LastCheckpoint,
    MaxLogit,
    NoisyLabelFinder,
    RunSummary,
    UnknownClassDetector,
)
from litzoo.callbacks.checkpoints.atomic_io import use_atomic_checkpoints
from litzoo.callbacks.files import PARTIAL_SUFFIX, remove_partial_files
from litzoo.callbacks.reporting import figures
from litzoo.datamodules import SymmetricNoise
from litzoo.lit_modules import Bootstrapping, CoTeachingClassifier, DisturbLabel, EarlyLearningRegularization, MixUp
from tests.callbacks.kills import Snapshots, differences
from tests.callbacks.open_set_digits import BEST, LAST, digits, perceptron
from tests.counted import count
from tests.training import cpu_trainer

RUN = Path("run")


@pytest.fixture(autouse=True)
def _seeded(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


@pytest.fixture
def blank_figures(monkeypatch):
    """Leaves figures blank: drawing them would take most of the time of these runs."""
    monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)
    monkeypatch.setattr(figures, "imsave", lambda path, pixels, format: path.write_bytes(pixels.tobytes()[:9]))


def train(*callbacks, model=perceptron, checkpoints=(BestCheckpoint, LastCheckpoint), **options):
    """Trains in the run folder, from `last.ckpt` if it exists; returns the final state, the trainer and the module."""
    module = model()
    every = [EpochSeed(), ExactResume(), *callbacks, RunSummary(), *(make() for make in checkpoints)]
    options = {"max_epochs": 4, "enable_checkpointing": True} | options
    trainer = cpu_trainer(callbacks=every, **options)
    use_atomic_checkpoints(trainer)
    trainer.fit(module, digits(label_noise=SymmetricNoise(0.2)), ckpt_path=LAST if LAST.exists() else None)
    return final_state(module), trainer, module


def final_state(module):
    files = sorted(path for path in RUN.rglob("*") if path.is_file())
    loaded = {".ckpt": partial(torch.load, weights_only=True), ".json": lambda path: json.loads(path.read_text())}
    content = {str(path): loaded.get(path.suffix, Path.read_bytes)(path) for path in files}
    return {**content, "weights in memory": module.state_dict()}


def restore(copy):
    shutil.rmtree(RUN)
    shutil.copytree(copy, RUN)
    remove_partial_files(RUN)


@pytest.mark.slow
def test_a_run_can_be_killed_at_every_moment_of_training_and_test(blank_figures, tmp_path):
    def run(*snapshots):
        callbacks = [
            UnknownClassDetector(MaxLogit(), count=1),
            NoisyLabelFinder(count=1),
            BestWeightsEarlyStopping("val/acc", "min", patience=2),
            ModelCheckpoint(
                filename="{epoch}", save_top_k=2, monitor="val/acc", mode="max", enable_version_counter=False
            ),
        ]
        _, trainer, module = train(*callbacks, *snapshots, max_epochs=9)
        trainer.test(module, trainer.datamodule, ckpt_path=BEST, verbose=False)
        return final_state(module)

    snapshots = Snapshots(RUN, tmp_path / "copies")
    with snapshots.recording() as copies:
        expected = run(snapshots)
    resumable = [copy for copy in copies if (copy / "checkpoints" / "last.ckpt").exists()]
    assert expected["run/checkpoints/last.ckpt"]["epoch"] == 2  # early stopping
    assert len(copies) > len(resumable) > 20
    assert any(list(copy.rglob(f".*{PARTIAL_SUFFIX}")) for copy in resumable)
    for copy in resumable:
        restore(copy)
        assert differences(run(), expected) == [], copy.name
        count("kills survived")


def test_last_has_to_be_written_after_best(tmp_path):
    checkpoints = [partial(BestCheckpoint, "val/acc", "min"), LastCheckpoint]  # the first epoch is best
    ends = {}
    for order, between in ((checkpoints, "before last.ckpt"), (checkpoints[::-1], "before best.ckpt")):
        snapshots = Snapshots(RUN, tmp_path / between)
        with snapshots.recording() as copies:
            expected, *_ = train(snapshots, checkpoints=order, max_epochs=3)
        there = [copy for copy in copies if (copy / "checkpoints" / "last.ckpt").exists()]
        restore(next(copy for copy in there if copy.name.endswith(between)))
        found, *_ = train(checkpoints=order, max_epochs=3)
        ends[between] = found[str(BEST)]["epoch"], expected[str(BEST)]["epoch"]
        shutil.rmtree(RUN)
    assert ends == {"before last.ckpt": (0, 0), "before best.ckpt": (1, 0)}


class RandomScale(torch.nn.CrossEntropyLoss):
    """Uses the random generators of numpy and Python."""

    def forward(self, logits, target):
        return super().forward(logits, target) * (1 + np.random.rand() + random.random())


class LogsEverySecondEpoch(Callback):
    """Logs a training metric in every second epoch."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch % 2 == 0:
            pl_module.log("train/now_and_then", float(trainer.current_epoch))


def plateau(optimizer):
    return ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=10)  # no epoch improves by that much


def co_teaching(forget_rate=0.2):
    torch.manual_seed(0)
    options = {"input_shape": (1, 28, 28), "num_classes": 7, "widths": [4, 4]}
    return CoTeachingClassifier(forget_rate=forget_rate, ramp_epochs=3, **options)


KINDS = {
    "schedule per epoch": {"model": partial(perceptron, scheduler=partial(StepLR, step_size=1, gamma=0.5))},
    "plateau": {"model": partial(perceptron, scheduler=plateau)},
    "dropout and mixing": {"model": partial(perceptron, dropout=0.5, mix=MixUp())},
    "early learning": {"model": lambda: perceptron(loss=EarlyLearningRegularization())},
    "disturbed labels": {"model": lambda: perceptron(loss=DisturbLabel(0.3))},
    "bootstrapping": {"model": lambda: perceptron(loss=Bootstrapping())},
    "random numbers of numpy and Python": {"model": lambda: perceptron(loss=RandomScale())},
    "co-teaching": {"model": co_teaching},
    "co-teaching with an estimated rate": {"model": partial(co_teaching, "auto")},
    "moving average": {"callbacks": [partial(ExponentialMovingAverage, 0.9)]},
    "best weights": {"callbacks": [partial(BestWeightsEarlyStopping, "val/acc", "min", patience=2)]},
    "early stopping": {"callbacks": [partial(EarlyStopping, "val/acc", mode="min", patience=2)]},
    "at least four epochs": {"callbacks": [partial(EarlyStopping, "val/acc", mode="min", patience=1)], "min_epochs": 4},
    "noisy label finder": {"callbacks": [NoisyLabelFinder]},
    "a metric every second epoch": {"callbacks": [LogsEverySecondEpoch]},
    "detector": {"callbacks": [partial(UnknownClassDetector, MaxLogit())]},
    "no validation": {"limit_val_batches": 0},
    "validation every second epoch": {"check_val_every_n_epoch": 2, "max_epochs": 5},
    "validation twice an epoch": {"val_check_interval": 0.4},
    "max_steps": {"max_steps": 18, "max_epochs": -1},
    "schedule and max_steps": {
        "model": partial(perceptron, scheduler=partial(StepLR, step_size=2)),
        "max_steps": 15,
        "max_epochs": -1,
    },
    "gradient accumulation": {"accumulate_grad_batches": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_state_is_restored(kind, blank_figures, tmp_path):
    options = KINDS[kind]
    kinds = options.get("callbacks", [])
    options = {name: value for name, value in options.items() if name != "callbacks"}
    snapshots = Snapshots(RUN, tmp_path / "copies")
    with snapshots.recording():
        expected, *_ = train(snapshots, *(make() for make in kinds), **options)
    for name in ("on_train_batch_end 1 0", "before metrics.json"):
        restore(snapshots.at[name])
        assert differences(train(*(make() for make in kinds), **options)[0], expected) == [], name
        count("kills survived")


def stops(patience, make=BestWeightsEarlyStopping):
    return make(monitor="val/acc", mode="min", patience=patience)


@pytest.mark.parametrize(("patience", "more", "epochs"), [(1, 1, 2), (1, 4, 5), (4, 1, 3)])
def test_more_patience_continues_a_stopped_training(patience, more, epochs):
    train(stops(patience), max_epochs=2 if patience == 4 else 9)
    _, trainer, _ = train(stops(more), max_epochs=5)
    assert trainer.current_epoch == epochs
