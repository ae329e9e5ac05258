from fractions import Fraction
from math import ceil

import pytest
import torch

from litzoo.callbacks import CurriculumLabels, TeacherLabels
from litzoo.callbacks.pseudo_labels.curriculum import lowest_of_highest
from litzoo.lit_modules import AssignedLabels, FixMatch, MLPClassifier
from tests.callbacks.labeled_pools import Watches, answers, digits, fit, perceptron, same, unmoved, weights_of

CONFIDENT = torch.tensor([0.5, 0.9, 0.7, 0.9, 0.6, 0.2, 0.7])


@pytest.mark.parametrize(
    ("fraction", "threshold", "used"),
    [
        (Fraction(1, 7), 0.9, 2),  # one is asked for, and another one is as sure
        (Fraction(2, 7), 0.9, 2),
        (Fraction(1, 5), 0.9, 2),  # 1.4 of 7 are two
        (Fraction(3, 10), 0.7, 4),  # 2.1 are three
        (Fraction(5, 7), 0.6, 5),
        (Fraction(1), 0.2, 7),
    ],
)
def test_the_threshold_is_an_order_statistic(fraction, threshold, used):
    found = lowest_of_highest(CONFIDENT, fraction)
    assert found == pytest.approx(threshold)
    assert sum(each >= found for each in CONFIDENT.tolist()) == used


def test_of_nobody_nobody_is_confident():
    assert lowest_of_highest(torch.zeros(0), Fraction(1, 5)) == 1.0


@pytest.mark.parametrize(
    ("start", "every", "step", "fractions"),
    [
        (2, 3, 0.2, ["0", "0", "1/5", "0", "0", "2/5", "0", "0", "3/5"]),
        (0, 1, 0.3, ["3/10", "3/5", "9/10", "1", "1", "1", "1", "1", "1"]),
        (1, 7, 1.0, ["0", "1", "0", "0", "0", "0", "0", "0", "1"]),
    ],
)
def test_the_fraction_grows_each_time(start, every, step, fractions):
    asked = CurriculumLabels(start, every, step)
    assert [asked.fraction_at(epoch) for epoch in range(9)] == list(map(Fraction, fractions))


class Labels(CurriculumLabels):
    """Compares what it has assigned with what the module answers just then."""

    def __init__(self, *options):
        super().__init__(*options)
        self.seen = []

    def on_train_epoch_start(self, trainer, pl_module):
        with unmoved(pl_module):
            super().on_train_epoch_start(trainer, pl_module)
        self.seen.append(answers(pl_module, trainer.datamodule))


@pytest.mark.parametrize("barring", [False, True])
def test_the_most_confident_labels_of_the_model_itself_are_used(barring):
    model, asked, watching = perceptron(), Labels(1, 2, 0.3), Watches()
    barred = torch.arange(1438) % 3 == 0 if barring else torch.zeros(1438, dtype=torch.bool)
    model.pseudo_labels.bar(barred)
    fit(asked, watching, model=model, max_epochs=6)
    for epoch, kept in enumerate(watching.kept):
        label, confidence, index = asked.seen[max(1, epoch - (epoch + 1) % 2)]
        if epoch == 0:
            assert not (kept["confidence"][index] >= kept["threshold"]).any()
            continue
        assert torch.equal(kept["label"][index], label)
        torch.testing.assert_close(kept["confidence"][index], confidence)
        allowed = kept["confidence"][index][~barred[index]].sort(descending=True).values
        wanted = ceil(Fraction(3, 10) * (1 + (epoch - 1) // 2) * len(allowed))
        assert kept["threshold"] == allowed[wanted - 1]
        assert len(allowed) == 141 - int(barred[index].sum())


def test_before_the_first_time_training_is_that_of_labels_alone():
    def assigned():
        method = AssignedLabels(view="strong")
        method.assign(torch.zeros(1438, dtype=torch.int64), torch.zeros(1438), 1.0)
        return perceptron(pseudo_labels=method)

    _, first, _ = fit(CurriculumLabels(start_epoch=2))
    _, second, _ = fit(model=assigned(), default_root_dir="second")
    assert same(weights_of(first), weights_of(second))
    _, third, _ = fit(CurriculumLabels(start_epoch=1), default_root_dir="third")
    assert not same(weights_of(first), weights_of(third))


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_resumed_run_ends_as_an_unbroken_one(epochs, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    _, unbroken, _ = fit(CurriculumLabels(1, 2, 0.4), max_epochs=5)
    fit(CurriculumLabels(1, 2, 0.4), max_epochs=epochs, default_root_dir="broken")
    _, resumed, _ = fit(
        CurriculumLabels(1, 2, 0.4), max_epochs=5, default_root_dir="broken", ckpt_path="broken/checkpoints/last.ckpt"
    )
    assert same(weights_of(unbroken), weights_of(resumed))
    assert same(*(model.pseudo_labels.get_extra_state() for model in (unbroken, resumed)))


def test_a_second_training_of_the_same_module_begins_without_labels():
    model, watching = perceptron(), Watches()
    fit(CurriculumLabels(0, 1), model=model)
    fit(CurriculumLabels(1, 1), watching, model=model, default_root_dir="again")
    assert not watching.kept[0]["confidence"].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_epoch": -1}, r"CurriculumLabels\.start_epoch: -1 is negative; give 0"),
        ({"every_epochs": 0}, r"CurriculumLabels\.every_epochs: 0 is too small; give at least 1"),
        ({"step": 0.0}, r"CurriculumLabels\.step: 0\.0 is no fraction in \(0, 1\]; 0\.2 is usual"),
        ({"step": 1.5}, r"CurriculumLabels\.step: 1\.5 is no fraction"),
        ({"step": float("nan")}, r"CurriculumLabels\.step: nan is no fraction"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        CurriculumLabels(**options)


@pytest.mark.parametrize("method", [None, FixMatch()])
def test_a_module_that_takes_no_labels_is_refused(method):
    watching = Watches()
    with pytest.raises(ValueError, match=r"CurriculumLabels (works on pseudo-labels|assigns labels, but FixMatch)"):
        fit(CurriculumLabels(), watching, model=perceptron(pseudo_labels=method))
    assert not watching.weights


def test_labels_of_a_teacher_are_not_replaced():
    with pytest.raises(ValueError, match="CurriculumLabels would replace the labels of TeacherLabels: remove one"):
        fit(TeacherLabels("few"), CurriculumLabels())


def test_data_that_are_none_of_the_zoo_are_refused():
    model = MLPClassifier((1, 28, 28), 10, pseudo_labels=AssignedLabels())
    datamodule = digits()
    datamodule.setup("fit")
    with pytest.raises(
        TypeError, match=r"CurriculumLabels needs a classifier and data of the zoo, not MLPC.* NoneType"
    ):
        fit(CurriculumLabels(), model=model, datamodule=datamodule.val_dataloader())
