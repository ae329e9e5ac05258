import copy
from functools import partial
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import TeacherLabels
from litzoo.lit_modules import AssignedLabels, MLPClassifier
from tests.callbacks.labeled_pools import (
    LAST,
    RecordsEpochs,
    digits,
    fit,
    perceptron,
    pool_predictions,
    same,
    weights_of,
)

TEACHER = "teacher/checkpoints/last.ckpt"


@pytest.fixture
def teacher():
    """Trains a teacher on the labeled samples only, and saves its checkpoint."""
    torch.manual_seed(9)
    quick = partial(torch.optim.Adam, lr=0.02)
    model = MLPClassifier((1, 28, 28), 10, hidden=[16], batch_norm=True, dropout=0.2, optimizer=quick)
    fit(model=model, datamodule=digits(unlabeled_batch_size=None), default_root_dir="teacher", max_epochs=6)
    return model


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8])
def test_labels_are_predicted_by_the_teacher(teacher, threshold, capsys):
    records = RecordsEpochs()
    _, model, datamodule = fit(TeacherLabels(TEACHER, threshold), records)
    label, confidence, index = pool_predictions(teacher, datamodule)
    assert len(index) == 141
    for kept in records.kept:
        assert len(kept["label"]) == len(kept["confidence"]) == 1438
        assert torch.equal(kept["label"][index], label)
        torch.testing.assert_close(kept["confidence"][index], confidence)
        assert model.pseudo_labels.current_threshold() == pytest.approx(threshold)
    passing = int((confidence >= threshold).sum())
    assert passing > 0
    line = f"teacher: {passing} of 141 pool samples have a label of confidence >= {threshold}\n"
    assert capsys.readouterr().out.endswith(line)


def test_the_student_keeps_its_weights_and_the_random_state_is_not_changed(teacher):
    start, states = weights_of(perceptron()), {}

    class Checks(TeacherLabels):
        def on_fit_start(self, trainer, pl_module):
            states["before"], states["modes"] = torch.get_rng_state(), [part.training for part in pl_module.modules()]
            super().on_fit_start(trainer, pl_module)
            states["after"] = torch.get_rng_state()
            assert [part.training for part in pl_module.modules()] == states["modes"]

    records, alone = RecordsEpochs(), RecordsEpochs()
    fit(Checks(TEACHER, 0.5), records)
    assert same(records.weights[0] | {"class_counts": start["class_counts"]}, start)
    assert torch.equal(states["before"], states["after"])
    fit(alone, model=perceptron(pseudo_labels=None), datamodule=digits(unlabeled_batch_size=None))
    assert same(records.weights[0], alone.weights[0])


def test_a_teacher_without_confident_labels_does_not_change_training(teacher):
    def assigned():
        method = AssignedLabels(view="strong")
        method.assign(torch.zeros(1438, dtype=torch.int64), torch.zeros(1438), 1.0)
        return perceptron(pseudo_labels=method)

    with pytest.warns(UserWarning, match="none of 141 pool samples"):
        _, first, _ = fit(TeacherLabels(TEACHER, 1.0))
    _, second, _ = fit(model=assigned(), default_root_dir="second")
    assert same(weights_of(first), weights_of(second))


def test_a_pool_without_confident_labels_warns_and_training_continues(teacher):
    with pytest.warns(UserWarning, match="none of 141 pool samples has a label of confidence >= ") as warnings:
        trainer, _, datamodule = fit(TeacherLabels(TEACHER, 1.0))
    highest = pool_predictions(teacher, datamodule)[1].max()
    assert highest < 1
    (message,) = [str(each.message) for each in warnings if "TeacherLabels" in str(each.message)]
    assert "confidence >= 1.0" in message
    assert f"the highest is {highest:.4g}" in message
    assert TEACHER in message
    assert trainer.global_step == 6


def test_a_resumed_run_ends_like_an_uninterrupted_one_and_needs_no_teacher(teacher, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    _, uninterrupted, _ = fit(TeacherLabels(TEACHER, 0.5), max_epochs=3)
    fit(TeacherLabels(TEACHER, 0.5), max_epochs=1, default_root_dir="resumed")
    _, resumed, _ = fit(
        TeacherLabels("gone", 0.5), max_epochs=3, default_root_dir="resumed", ckpt_path="resumed/checkpoints/last.ckpt"
    )
    assert same(weights_of(uninterrupted), weights_of(resumed))
    kept = [model.pseudo_labels.get_extra_state() for model in (uninterrupted, resumed)]
    assert same(*kept)


def test_another_threshold_has_no_effect_on_a_resumed_run_and_warns(teacher):
    fit(TeacherLabels(TEACHER, 0.5))
    with pytest.warns(UserWarning, match=r"0\.7 has no effect; the resumed training keeps its labels and .* 0\.5"):
        _, model, _ = fit(TeacherLabels(TEACHER, 0.7), max_epochs=3, ckpt_path=LAST)
    assert model.pseudo_labels.current_threshold() == 0.5


def test_a_second_training_labels_the_pool_again(teacher):
    same_callback, records = TeacherLabels(TEACHER, 0.5), RecordsEpochs()
    fit(same_callback)
    model = perceptron()
    fit(same_callback, records, model=model, datamodule=digits(seed=5), default_root_dir="again")
    other = digits(seed=5)
    other.setup("fit")
    label, _, index = pool_predictions(teacher, other)
    assert torch.equal(records.kept[0]["label"][index], label)


def test_the_teacher_is_the_newest_run_of_an_experiment(teacher):
    content = torch.load(TEACHER, weights_only=True)
    for version, factor in [("version_9", 1.0), ("version_10", -1.0), ("version_11", None)]:
        path = Path("runs", "few", version, "checkpoints", "best.ckpt")
        path.parent.mkdir(parents=True)
        if factor is not None:
            changed = copy.deepcopy(content)
            changed["state_dict"]["net.head.weight"] *= factor
            torch.save(changed, path)
    records = RecordsEpochs()
    _, _, datamodule = fit(TeacherLabels("few", 0.0), records, default_root_dir="runs/frozen/version_0")
    teacher.net.head.weight.data *= -1
    label, _, index = pool_predictions(teacher, datamodule)
    assert torch.equal(records.kept[0]["label"][index], label)


def test_the_teacher_predicts_with_the_class_counts_of_its_training():
    adjusted = {"hidden": [16], "posthoc_tau": 1.0}
    torch.manual_seed(9)
    model = MLPClassifier((1, 28, 28), 10, **adjusted)
    labels = digits(unlabeled_batch_size=None, num_labeled=None)
    fit(model=model, datamodule=labels, default_root_dir="teacher")
    records = RecordsEpochs()
    _, student, datamodule = fit(
        TeacherLabels(TEACHER, 0.0), records, model=perceptron(**adjusted, batch_norm=False, dropout=0.0)
    )
    assert not torch.equal(student.class_counts, model.class_counts)
    _, confidence, index = pool_predictions(model, datamodule)
    torch.testing.assert_close(records.kept[0]["confidence"][index], confidence)
