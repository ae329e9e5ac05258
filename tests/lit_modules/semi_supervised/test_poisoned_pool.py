"""True classes are there for diagnostics: whatever they say, training is the same."""

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback

from litzoo.callbacks import CurriculumLabels, NearestNeighbors, TeacherLabels, UnknownPoolFilter
from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.lit_modules import AssignedLabels, CNNClassifier, FixMatch
from tests.lit_modules.semi_supervised.methods import every_method, ready
from tests.training import cpu_trainer

POISONS = {
    "others": lambda clean: (clean + 3) % 10,
    "one class": torch.zeros_like,
    "unknown": lambda clean: torch.full_like(clean, -1),
    "absent": None,
}


class Poisoned(DigitsDataModule):
    """Tells lies about the true classes of labeled and unlabeled training samples, at their source."""

    def __init__(self, poison, **options):
        super().__init__(**options)
        self.poison, self.poisoned = poison, 0

    def setup(self, stage):
        super().setup(stage)
        if callable(self.poison):
            for index in (self.split.train, self.split.unlabeled):
                lies = self.poison(self.clean_targets[index])
                self.poisoned += int((lies != self.clean_targets[index]).sum())
                self.clean_targets[index] = lies
            self.targets[self.split.unlabeled] = self.poison(self.targets[self.split.unlabeled])

    def on_after_batch_transfer(self, batch, dataloader_idx):
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        if self.trainer.training and self.poison is None:
            for part in batch.values():
                self.poisoned += len(part.pop("clean_target"))
        return batch


class Gradients(Callback):
    """Keeps the gradients of every step."""

    def __init__(self):
        self.steps = []

    def on_after_backward(self, trainer, pl_module):
        self.steps.append(torch.cat([each.grad.flatten() for each in pl_module.parameters()]))


def trained(method, poison, *callbacks):
    """Trains for a few steps; returns all gradients, the weights at the end, and what was poisoned."""
    torch.manual_seed(6)
    sizes = {"train_size": 200, "val_size": 20, "num_labeled": 60, "batch_size": 10, "unlabeled_batch_size": 20}
    datamodule = Poisoned(poison, **sizes, augment="shift", label_noise=SymmetricNoise(0.3))
    model = CNNClassifier((1, 28, 28), 10, widths=(4,), pseudo_labels=ready(method, classes=10, samples=2000))
    gradients = Gradients()
    cpu_trainer(callbacks=[*callbacks, gradients], limit_train_batches=4, limit_val_batches=0).fit(model, datamodule)
    weights = torch.cat([values.flatten() for name, values in model.state_dict().items() if name.startswith("net.")])
    return gradients.steps, weights, datamodule.poisoned


@every_method
def test_true_classes_reach_neither_gradients_nor_weights(method_class, options):
    gradients, weights, nothing = trained(method_class(**options), lambda clean: clean)
    assert not nothing
    assert len(gradients) == 4
    for name, poison in POISONS.items():
        others, other_weights, poisoned = trained(method_class(**options), poison)
        assert poisoned >= 100
        assert all(torch.equal(*each) for each in zip(gradients, others, strict=True)), name
        assert torch.equal(weights, other_weights), name


@pytest.mark.parametrize(
    ("method", "callback"),
    [
        (AssignedLabels, lambda: CurriculumLabels(start_epoch=0, every_epochs=1, step=0.5)),
        (AssignedLabels, lambda: TeacherLabels("teacher.ckpt", threshold=0.1)),
        (FixMatch, lambda: UnknownPoolFilter(NearestNeighbors(3), 0.5, start_epoch=0)),
    ],
    ids=["curriculum", "teacher", "filter"],
)
def test_callbacks_that_evaluate_the_pool_do_not_pass_clean_targets_either(method, callback, tmp_path):
    teacher = CNNClassifier((1, 28, 28), 10, widths=(4,))
    trainer = cpu_trainer(limit_train_batches=2, limit_val_batches=0)
    trainer.fit(teacher, DigitsDataModule(val_size=20))
    trainer.save_checkpoint("teacher.ckpt")
    gradients, weights, _ = trained(method(), lambda clean: clean, callback())
    assert any(step.any() for step in gradients)
    for name, poison in POISONS.items():
        others, other_weights, poisoned = trained(method(), poison, callback())
        assert poisoned >= 100
        assert all(torch.equal(*each) for each in zip(gradients, others, strict=True)), name
        assert torch.equal(weights, other_weights), name


class Peeks(FixMatch):
    """Learns the true classes."""

    def forward(self, student, batch):
        unlabeled = batch["unlabeled"]
        loss = F.cross_entropy(student(unlabeled["strong"]), unlabeled["clean_target"])
        return super().forward(student, batch)._replace(loss=loss)


def test_a_method_that_reads_clean_targets_is_detected():
    first, second = (trained(Peeks(), poison) for poison in (lambda clean: clean, POISONS["others"]))
    assert not torch.equal(first[0][0], second[0][0])
    assert not torch.equal(first[1], second[1])
    with pytest.raises(KeyError, match="clean_target"):
        trained(Peeks(), POISONS["absent"])
