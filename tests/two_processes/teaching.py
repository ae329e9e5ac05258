"""Trainings with labels of a teacher, or of the student itself, on a pool that is filtered."""

from typing import Any

import torch

from litzoo.callbacks import CurriculumLabels, NearestNeighbors, TeacherLabels, UnknownPoolFilter
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import AssignedLabels, MLPClassifier
from tests.training import cpu_trainer
from tests.two_processes.detecting import still


def teach(by: str, **trainer_options: Any) -> dict[str, Any]:
    """Trains on 60 labels and a pool of 91 samples, an odd number; returns what is held of them, and the metrics.

    The teacher is in the current folder.
    """
    torch.manual_seed(6)
    labelling = TeacherLabels("10_classes.ckpt", 0.3) if by == "teacher" else CurriculumLabels(0, 1)
    model = MLPClassifier((1, 28, 28), 10, hidden=[16], pseudo_labels=AssignedLabels(), optimizer=still)
    sizes = {"train_size": 151, "num_labeled": 60, "val_size": 81, "batch_size": 8, "unlabeled_batch_size": 13}
    datamodule = DigitsDataModule(**sizes, eval_batch_size=33)
    callbacks = [UnknownPoolFilter(NearestNeighbors(3), 0.5, start_epoch=0), labelling]
    trainer = cpu_trainer(callbacks=callbacks, **trainer_options)
    trainer.fit(model, datamodule)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
    return {"kept": model.pseudo_labels.get_extra_state(), "metrics": metrics}
