"""What is done in two processes: trainings whose batches are recorded, tests, and the command."""

from typing import Any

import torch

from litzoo.callbacks import PredictionsCSV
from litzoo.datamodules import DigitsDataModule, ImageDataModule, LongTailed, MNISTDataModule, SymmetricNoise
from litzoo.lit_modules import MLPClassifier
from litzoo.scripts.cli.main import run
from tests.datamodules.recording import record
from tests.scripts.helpers import MLP, QUIET
from tests.training import cpu_trainer
from tests.two_processes.believing import believe
from tests.two_processes.detecting import detect
from tests.two_processes.processes import PROCESSES, two_processes
from tests.two_processes.ranking import rank, rank_in_parts
from tests.two_processes.remembering import remember
from tests.two_processes.reporting import report
from tests.two_processes.segmenting import segment
from tests.two_processes.stopping import HOOKS, spoil, stop
from tests.two_processes.teaching import teach
from tests.two_processes.training import FAMILIES, train
from tests.two_processes.unfreezing import HOW, unfreeze
from tests.two_processes.whitening import whiten

TRAININGS: dict[str, dict[str, Any]] = {
    "shuffle": {"train_size": 101, "batch_size": 16},
    "one left": {"train_size": 97, "batch_size": 16},
    "drop_last": {"train_size": 101, "batch_size": 16, "drop_last": True},
    "weighted": {"imbalance": LongTailed(10), "batch_size": 37, "sampling": "weighted"},
    "balanced": {"imbalance": LongTailed(10), "batch_size": 37, "sampling": "balanced"},
    "noisy": {"train_size": 101, "batch_size": 16, "label_noise": SymmetricNoise(0.3), "noisy_val": True},
    "large pool": {"train_size": 151, "num_labeled": 20, "batch_size": 7, "unlabeled_batch_size": 13},
    "small pool": {"train_size": 151, "num_labeled": 130, "batch_size": 10, "unlabeled_batch_size": 13},
}
DIGIT_TESTS: dict[str, dict[str, Any]] = {
    "one batch": {},
    "batches of 50": {"eval_batch_size": 50},
    "batches of 7": {"eval_batch_size": 7},
    "unknown classes": {"eval_batch_size": 33, "known_classes": list("0123456")},
}
TINY_TESTS = {f"{size} samples": size for size in (1, 2, 3, 11)}
COMMAND = [*MLP, *QUIET, "--trainer.max_epochs=1", "--data.train_size=201", "--data.sampling=balanced"]
COMMAND += ["--data.label_noise=SymmetricNoise", "--data.label_noise.rate=0.2"]


def training_data(name: str) -> DigitsDataModule:
    """Makes the datamodule of a training."""
    return DigitsDataModule(val_size=101, **TRAININGS[name])


def evaluation_data(name: str) -> ImageDataModule:
    """Makes the datamodule of a test: the digits' 359 samples, or tiny files in the current folder."""
    if name in DIGIT_TESTS:
        return DigitsDataModule(**DIGIT_TESTS[name])
    return MNISTDataModule(root=name, eval_batch_size=2)


def trained_module(num_classes: int) -> MLPClassifier:
    """Loads the module of so many classes from the current folder."""
    return MLPClassifier.load_from_checkpoint(f"{num_classes}_classes.ckpt")


def metrics(name: str, stage: str, **trainer_options: Any) -> dict[str, float]:
    """Returns what a `test` or `validate` of a checkpoint logs."""
    datamodule, trainer = evaluation_data(name), cpu_trainer(**trainer_options)
    getattr(trainer, stage)(trained_module(datamodule.num_classes), datamodule=datamodule, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def predict(name: str, folder: str, **trainer_options: Any) -> None:
    """Writes what a checkpoint predicts for a test set into a folder."""
    trainer = cpu_trainer(callbacks=[PredictionsCSV()], default_root_dir=folder, **trainer_options)
    trainer.predict(trained_module(10), datamodule=evaluation_data(name), return_predictions=False)


def scenarios() -> dict[Any, Any]:
    """Trains and tests as one of two processes; returns what this one saw."""
    found: dict[Any, Any] = {}
    for name in TRAININGS:
        torch.manual_seed(5)
        datamodule = training_data(name)
        recorder = record(datamodule, epochs=2, trainer=two_processes())
        found[name] = {"fingerprint": datamodule.fingerprint(), "seen": recorder.seen}
    for name in (*DIGIT_TESTS, *TINY_TESTS):
        found["test", name] = metrics(name, "test", **two_processes())
    for name in TINY_TESTS:
        predict(name, f"predicted {name}", **two_processes())
    found["validate", "one batch"] = metrics("one batch", "validate", **two_processes())
    found["remembered"] = remember()
    found["believed"] = believe()
    found["ranked"] = rank("ranked", **two_processes())
    found["ranked in parts"] = rank_in_parts("ranked in parts")
    found["reported"] = report("reported", **two_processes())
    found["segmented"] = segment("segmented", **two_processes())
    for score in ("MaxLogit", "NearestNeighbors"):
        found["detected", score] = detect(f"detected {score}", score, **two_processes())
    for by in ("teacher", "student"):
        found["taught by", by] = teach(by, **two_processes())
    for hook in HOOKS:
        found["stopped", hook] = stop(hook, **two_processes())
    found["spoiled"] = spoil(**two_processes())
    for how in HOW:
        found["unfrozen", how] = unfreeze(how, PROCESSES, **two_processes())
    found["whitened"] = whiten(PROCESSES, **two_processes())
    for name in FAMILIES:
        found["trained", name] = train(name, f"trained {name}", PROCESSES, **two_processes())
    run(["fit", *COMMAND, "--trainer.devices=2", "--trainer.strategy=ddp"])
    return found
