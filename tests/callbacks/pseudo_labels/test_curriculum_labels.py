from fractions import Fraction
from math import ceil

import pytest
import torch

from litzoo.callbacks import CurriculumLabels, TeacherLabels
from litzoo.callbacks.pseudo_labels.curriculum import top_fraction_threshold
from litzoo.lit_modules import AssignedLabels, FixMatch, MLPClassifier
from tests.callbacks.labeled_pools import (
    RecordsEpochs,
    digits,
    fit,
    perceptron,
    pool_predictions,
    same,
    unchanged,
    weights_of,
)

CONFIDENCE = torch.tensor([0.5, 0.9, 0.7, 0.9, 0.6, 0.2, 0.7])


@pytest.mark.parametrize(
    ("fraction", "threshold", "used"),
    [
        (Fraction(1, 7), 0.9, 2),  # one sample and a tie with it
        (Fraction(2, 7), 0.9, 2),
        (Fraction(1, 5), 0.9, 2),  # 1.4 of 7, rounded up
        (Fraction(3, 10), 0.7, 4),  # 2.1 of 7, rounded up, and a tie
        (Fraction(5, 7), 0.6, 5),
        (Fraction(1), 0.2, 7),
    ],
)
def test_the_threshold_is_an_order_statistic(fraction, threshold, used):
    found = top_fraction_threshold(CONFIDENCE, fraction)
    assert found == pytest.approx(threshold)
    assert sum(each >= found for each in CONFIDENCE.tolist()) == used


def test_the_threshold_of_no_samples_is_1():
    assert top_fraction_threshold(torch.zeros(0), Fraction(1, 5)) == 1.0


@pytest.mark.parametrize(
    ("start", "every", "step", "fractions"),
    [
        (2, 3, 0.2, ["0", "0", "1/5", "0", "0", "2/5", "0", "0", "3/5"]),
        (0, 1, 0.3, ["3/10", "3/5", "9/10", "1", "1", "1", "1", "1", "1"]),
        (1, 7, 1.0, ["0", "1", "0", "0", "0", "0", "0", "0", "1"]),
    ],
)
def test_the_fraction_grows_in_each_round(start, every, step, fractions):
    curriculum = CurriculumLabels(start, every, step)
    assert [curriculum.fraction_at(epoch) for epoch in range(9)] == list(map(Fraction, fractions))


class RecordsPredictions(CurriculumLabels):
    """Records the predictions of the module in each epoch, and checks that it changes nothing else."""

    def __init__(self, *options):
        super().__init__(*options)
        self.predictions = []

    def on_train_epoch_start(self, trainer, pl_module):
        with unchanged(pl_module):
            super().on_train_epoch_start(trainer, pl_module)
        self.predictions.append(pool_predictions(pl_module, trainer.datamodule))


@pytest.mark.parametrize("barring", [False, True])
def test_the_most_confident_labels_of_the_model_are_used(barring):
    model, curriculum, records = perceptron(), RecordsPredictions(1, 2, 0.3), RecordsEpochs()
    barred = torch.arange(1438) % 3 == 0 if barring else torch.zeros(1438, dtype=torch.bool)
    model.pseudo_labels.bar(barred)
    fit(curriculum, records, model=model, max_epochs=6)
    for epoch, kept in enumerate(records.kept):
        label, confidence, index = curriculum.predictions[max(1, epoch - (epoch + 1) % 2)]
        if epoch == 0:
            assert not (kept["confidence"][index] >= kept["threshold"]).any()
            continue
        assert torch.equal(kept["label"][index], label)
        torch.testing.assert_close(kept["confidence"][index], confidence)
        allowed = kept["confidence"][index][~barred[index]].sort(descending=True).values
        used = ceil(Fraction(3, 10) * (1 + (epoch - 1) // 2) * len(allowed))
        assert kept["threshold"] == allowed[used - 1]
        assert len(allowed) == 141 - int(barred[index].sum())


def test_before_the_first_round_only_labeled_samples_are_used():
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
def test_a_resumed_run_ends_like_an_uninterrupted_one(epochs, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    _, uninterrupted, _ = fit(CurriculumLabels(1, 2, 0.4), max_epochs=5)
    fit(CurriculumLabels(1, 2, 0.4), max_epochs=epochs, default_root_dir="resumed")
    _, resumed, _ = fit(
        CurriculumLabels(1, 2, 0.4), max_epochs=5, default_root_dir="resumed", ckpt_path="resumed/checkpoints/last.ckpt"
    )
    assert same(weights_of(uninterrupted), weights_of(resumed))
    assert same(*(model.pseudo_labels.get_extra_state() for model in (uninterrupted, resumed)))


def test_a_second_training_of_the_same_module_starts_without_labels():
    model, records = perceptron(), RecordsEpochs()
    fit(CurriculumLabels(0, 1), model=model)
    fit(CurriculumLabels(1, 1), records, model=model, default_root_dir="again")
    assert not records.kept[0]["confidence"].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_epoch": -1}, r"CurriculumLabels\.start_epoch: -1 is negative; give 0"),
        ({"every_epochs": 0}, r"CurriculumLabels\.every_epochs: 0 is too small; give at least 1"),
        ({"step": 0.0}, r"CurriculumLabels\.step: 0\.0 is not a fraction in \(0, 1\]; 0\.2 is usual"),
        ({"step": 1.5}, r"CurriculumLabels\.step: 1\.5 is not a fraction"),
        ({"step": float("nan")}, r"CurriculumLabels\.step: nan is not a fraction"),
    ],
)
def test_arguments_out_of_range_raise(options, words):
    with pytest.raises(ValueError, match=words):
        CurriculumLabels(**options)


@pytest.mark.parametrize("method", [None, FixMatch()])
def test_a_module_without_assigned_labels_raises(method):
    records = RecordsEpochs()
    with pytest.raises(ValueError, match=r"CurriculumLabels (needs pseudo-labels|assigns labels, but FixMatch)"):
        fit(CurriculumLabels(), records, model=perceptron(pseudo_labels=method))
    assert not records.weights


def test_teacher_and_curriculum_together_raise():
    with pytest.raises(ValueError, match="CurriculumLabels would replace the labels of TeacherLabels: remove one"):
        fit(TeacherLabels("few"), CurriculumLabels())


def test_data_that_cannot_serve_the_pool_raise():
    model = MLPClassifier((1, 28, 28), 10, pseudo_labels=AssignedLabels())
    datamodule = digits()
    datamodule.setup("fit")
    with pytest.raises(
        TypeError, match=r"CurriculumLabels needs a classifier and a datamodule .*, not MLPC.* NoneType"
    ):
        fit(CurriculumLabels(), model=model, datamodule=datamodule.val_dataloader())
