import numpy as np
import pytest
import torch
import torch.nn.functional as F

from litzoo.callbacks import PredictionGrid
from litzoo.datamodules import UNKNOWN, DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from tests.callbacks.drawn import drawn_images
from tests.training import cpu_trainer

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class KeepsFigure(PredictionGrid):
    """Keeps the figure that it draws."""

    def draw(self, trainer, class_names, outputs):
        self.figure = super().draw(trainer, class_names, outputs)
        return self.figure


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    datamodule = DigitsDataModule(train_size=100, batch_size=10, val_size=0, eval_batch_size=50)
    model = SoftmaxRegression((1, 28, 28), 10, class_names=NAMES)
    cpu_trainer().fit(model, datamodule)
    return model, datamodule


def draw(trained, **options):
    grid, (model, datamodule) = KeepsFigure(**options), trained
    trainer = cpu_trainer(callbacks=[grid])
    trainer.test(model, datamodule, verbose=False)
    logits = model(datamodule.normalise(datamodule.test_set.inputs)).detach()
    return grid.figure, trainer, logits, datamodule.test_set.targets


def cells(figure):
    return [(each.caption, each.colour, each.pixels) for each in drawn_images(figure)]


def test_captions_are_predicted_names_and_wrong_ones_are_red(trained):
    figure, _, logits, targets = draw(trained, count=24)
    predicted = logits.argmax(dim=1)
    shown = cells(figure)
    assert len(shown) == 24
    assert [(each.row, each.column) for each in drawn_images(figure)] == [divmod(sample, 6) for sample in range(24)]
    for cell, (title, colour, pixels) in enumerate(shown):
        sample = cell * 359 // 24
        name, true = NAMES[predicted[sample]], NAMES[targets[sample]]
        assert (title, colour) == ((name, "black") if name == true else (f"{name}\ntrue {true}", "tab:red"))
        assert np.array_equal(pixels, trained[1].test_set.inputs[sample, 0])
    assert {colour for _, colour, _ in shown} == {"black", "tab:red"}
    wrong = int((predicted != targets).sum())
    assert figure.get_suptitle() == f"predicted classes; {wrong} of 359 test images wrong"


def test_mistakes_are_the_most_confident_wrong_predictions(trained):
    figure, _, logits, targets = draw(trained, count=7, show="mistakes")
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    ordered = sorted((-confidence[i].item(), i) for i in range(359) if predicted[i] != targets[i])[:7]
    expected = [f"{NAMES[predicted[i]]}\ntrue {NAMES[targets[i]]}" for _, i in ordered]
    assert [title for title, _, _ in cells(figure)] == expected


@pytest.mark.parametrize(("show", "images"), [("spread", 25), ("mistakes", 0)])
def test_a_perfect_model_has_no_mistakes_to_show(trained, show, images):
    _, trainer, _, targets = draw(trained, count=1)
    outputs = {"logits": F.one_hot(targets, 10) * 9.0, "target": targets, "index": torch.arange(359)}
    figure = PredictionGrid(count=25, show=show).draw(trainer, NAMES, outputs)
    assert len(cells(figure)) == images
    assert figure.get_suptitle() == "predicted classes; 0 of 359 test images wrong"


def test_an_image_of_an_unknown_class_has_its_true_name_and_is_counted_separately(trained):
    _, trainer, logits, targets = draw(trained, count=1)
    outputs = {"logits": logits[:2], "target": torch.tensor([UNKNOWN, 3]), "index": torch.tensor([0, 1])}
    figure = PredictionGrid().draw(trainer, NAMES, outputs)
    title, colour, _ = cells(figure)[0]
    assert (title, colour) == (f"{NAMES[logits[0].argmax()]}\ntrue {targets[0]}, unknown", "tab:red")
    wrong = int(logits[1].argmax() != 3)
    assert figure.get_suptitle() == f"predicted classes; {wrong} of 1 test images wrong, 1 of unknown classes"


@pytest.mark.parametrize("option", [{"count": 0}, {"show": "last"}])
def test_invalid_options_are_refused(option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=rf"PredictionGrid\.{name}: {value!r}"):
        PredictionGrid(**option)
