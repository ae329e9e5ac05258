import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from litzoo.callbacks import ConfusionMatrixFigure
from litzoo.datamodules import UNKNOWN, DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from tests.training import cpu_trainer


class KeepsFigure(ConfusionMatrixFigure):
    """Keeps the figure that it draws."""

    def draw(self, trainer, class_names, outputs):
        self.figure = super().draw(trainer, class_names, outputs)
        return self.figure


def counts_in(figure, classes):
    """Reads the counts from the texts of the figure; cells without text are 0."""
    counts = np.zeros((classes, classes), dtype=int)
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        counts[row, column] = int(text.get_text())
    return counts


def draw(predicted, target, classes):
    names = [f"name {number}" for number in range(classes)]
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), classes) * 3.0
    return ConfusionMatrixFigure().draw(None, names, {"logits": logits, "target": torch.tensor(target)})


def test_counts_equal_those_of_scikit_learn():
    callback, datamodule = KeepsFigure(), DigitsDataModule(train_size=200, eval_batch_size=100)
    model = SoftmaxRegression((1, 28, 28), 10)
    trainer = cpu_trainer(callbacks=[callback], limit_val_batches=0)
    trainer.fit(model, datamodule)
    trainer.test(model, datamodule, verbose=False)
    predicted = model(datamodule.normalise(datamodule.test_set.inputs)).argmax(dim=1)
    expected = confusion_matrix(datamodule.test_set.targets, predicted)
    assert (expected - np.diag(np.diag(expected))).any()
    assert np.array_equal(counts_in(callback.figure, 10), expected)


def test_rows_are_true_and_columns_predicted_classes():
    figure = draw(predicted=[0, 1, 1, 2], target=[0, 0, 0, 1], classes=3)
    assert counts_in(figure, 3).tolist() == [[1, 2, 0], [0, 0, 1], [0, 0, 0]]
    panel = figure.axes[0]
    assert (panel.get_ylabel(), panel.get_xlabel()) == ("true", "predicted")
    for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["name 0", "name 1", "name 2"]


def test_colours_are_fractions_of_the_true_class():
    random = np.random.RandomState(0)
    predicted, target = random.randint(5, size=(2, 300))
    fractions = draw(predicted.tolist(), target.tolist(), 5).axes[0].images[0].get_array()
    assert np.allclose(fractions, confusion_matrix(target, predicted, normalize="true"), atol=1e-6)


def test_unknown_classes_are_left_out():
    figure = draw(predicted=[0, 1, 1], target=[0, UNKNOWN, 1], classes=2)
    assert counts_in(figure, 2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("classes", "numbers"), [(20, 20), (21, 0)])
def test_many_classes_have_colours_only(classes, numbers):
    figure = draw(list(range(classes)), list(range(classes)), classes)
    assert len(figure.axes[0].texts) == numbers
