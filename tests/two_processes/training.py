"""Short trainings of every family of experiments, by one process or shared by two, that have to end alike.

Nothing is drawn in a process: neither dropout nor augmentation; and no statistics are taken of its fraction of a batch.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule

from litzoo.callbacks import (
    MaxLogit,
    NoisyLabelFinder,
    PredictionsCSV,
    PseudoLabelReport,
    RunSummary,
    UnknownClassDetector,
)
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule, LongTailed, SymmetricNoise
from litzoo.lit_modules import (
    CNNClassifier,
    CoTeachingClassifier,
    FixMatch,
    MLPClassifier,
    OnlinePseudoLabels,
    Regressor,
)
from litzoo.lit_modules.losses import EarlyLearningRegularization, SparseOverParameterization, WeightedCrossEntropy
from tests.training import cpu_trainer

EPOCHS = 2
SHAPE = (1, 28, 28)
NAMES = list("1234567")
sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
mlp = partial(MLPClassifier, SHAPE, hidden=[16], optimizer=sgd)
CNN = {"input_shape": SHAPE, "num_classes": 10, "widths": [4], "batch_norm": False, "optimizer": sgd}
SIZES = {"train_size": 160, "val_size": 40, "batch_size": 40}
POOL = {**SIZES, "train_size": 200, "num_labeled": 40, "batch_size": 10}
POOL |= {"unlabeled_batch_size": 40, "strong_augment": "none"}
NOISY = {**SIZES, "label_noise": SymmetricNoise(0.3)}
LONG_TAILED = {"val_size": 40, "imbalance": LongTailed(10), "batch_size": 40, "drop_last": True}

Family = tuple[Callable[[], LightningModule], type[LightningDataModule], dict[str, Any], list[Callable[[], Callback]]]
FAMILIES: dict[str, Family] = {
    "mlp": (partial(mlp, 10), DigitsDataModule, SIZES, []),
    "cnn": (partial(CNNClassifier, **CNN), DigitsDataModule, SIZES, []),
    "weighted loss": (
        # With as many samples of every class in a batch, the weighted mean has the same weights in both processes.
        lambda: mlp(10, loss=WeightedCrossEntropy()),
        DigitsDataModule,
        {**LONG_TAILED, "sampling": "balanced"},
        [],
    ),
    "weighted sampling": (partial(mlp, 10), DigitsDataModule, {**LONG_TAILED, "sampling": "weighted"}, []),
    "ELR": (lambda: mlp(10, loss=EarlyLearningRegularization()), DigitsDataModule, NOISY, []),
    "SOP": (
        lambda: mlp(10, loss=SparseOverParameterization(0.5, 0.5, 0.1)),
        DigitsDataModule,
        NOISY,
        [],
    ),
    "co-teaching": (
        # So slow a ramp that nothing is left out: each process picks among its own samples.
        partial(CoTeachingClassifier, forget_rate=0.3, ramp_epochs=100, **CNN),
        DigitsDataModule,
        NOISY,
        [],
    ),
    "wrong labels": (partial(mlp, 10), DigitsDataModule, NOISY, [NoisyLabelFinder]),
    "online": (
        lambda: mlp(10, pseudo_labels=OnlinePseudoLabels()),
        DigitsDataModule,
        POOL,
        [PseudoLabelReport],
    ),
    "FixMatch": (
        lambda: mlp(10, pseudo_labels=FixMatch(threshold=0.15)),
        DigitsDataModule,
        POOL,
        [],
    ),
    "unknown classes": (
        partial(mlp, 7, class_names=NAMES),
        DigitsDataModule,
        {**SIZES, "known_classes": NAMES},
        [lambda: UnknownClassDetector(MaxLogit())],
    ),
    "regression": (
        partial(Regressor, (10,), 150.0, 77.0, hidden=[16], optimizer=sgd),
        DiabetesDataModule,
        SIZES,
        [],
    ),
}
BATCHES = ("batch_size", "unlabeled_batch_size")


def train(name: str, folder: Path | str, processes: int = 1, **trainer_options: Any) -> dict[str, Any]:
    """Trains, tests and predicts with a family; returns what is logged, and the number of steps.

    Args:
        name: Of the family.
        folder: Of the run.
        processes: Over how many a batch is shared.
        **trainer_options: See `Trainer`.
    """
    torch.manual_seed(7)
    build, data, options, extras = FAMILIES[name]
    fraction = {option: options[option] // processes for option in BATCHES if option in options}
    model, datamodule = build(), data(**{**options, **fraction})
    callbacks = [*(make() for make in extras), PredictionsCSV(), RunSummary()]
    trainer = cpu_trainer(max_epochs=EPOCHS, callbacks=callbacks, default_root_dir=str(folder), **trainer_options)
    trainer.fit(model, datamodule)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    (tested,) = trainer.test(model, datamodule, verbose=False)
    trainer.predict(model, datamodule, return_predictions=False)
    return {"metrics": metrics | tested, "steps": trainer.global_step}
