import copy
from functools import partial
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import TeacherLabels
from litzoo.lit_modules import AssignedLabels, MLPClassifier
from tests.callbacks.labeled_pools import LAST, Watches, answers, digits, fit, perceptron, same, weights_of

TEACHER = "teacher/checkpoints/last.ckpt"


@pytest.fixture
def teacher():
    """Trains one on the labeled samples alone, for longer, and leaves its checkpoint."""
    torch.manual_seed(9)
    quick = partial(torch.optim.Adam, lr=0.02)
    model = MLPClassifier((1, 28, 28), 10, hidden=[16], batch_norm=True, dropout=0.2, optimizer=quick)
    fit(model=model, datamodule=digits(unlabeled_batch_size=None), default_root_dir="teacher", max_epochs=6)
    return model


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8])
def test_labels_are_those_of_the_teacher_alone(teacher, threshold, capsys):
    watching = Watches()
    _, model, datamodule = fit(TeacherLabels(TEACHER, threshold), watching)
    label, confidence, index = answers(teacher, datamodule)
    assert len(index) == 141
    for kept in watching.kept:
        assert len(kept["label"]) == len(kept["confidence"]) == 1438
        assert torch.equal(kept["label"][index], label)
        torch.testing.assert_close(kept["confidence"][index], confidence)
        assert model.pseudo_labels.current_threshold() == pytest.approx(threshold)
    passing = int((confidence >= threshold).sum())
    assert passing > 0
    line = f"teacher: {passing} of 141 pool samples have a label of confidence >= {threshold}\n"
    assert capsys.readouterr().out.endswith(line)


def test_the_student_starts_from_weights_of_its_own_and_nothing_is_drawn(teacher):
    start, drawn = weights_of(perceptron()), {}

    class Draws(TeacherLabels):
        def on_fit_start(self, trainer, pl_module):
            drawn["before"], drawn["modes"] = torch.get_rng_state(), [part.training for part in pl_module.modules()]
            super().on_fit_start(trainer, pl_module)
            drawn["after"] = torch.get_rng_state()
            assert [part.training for part in pl_module.modules()] == drawn["modes"]

    watching, alone = Watches(), Watches()
    fit(Draws(TEACHER, 0.5), watching)
    assert same(watching.weights[0] | {"class_counts": start["class_counts"]}, start)
    assert torch.equal(drawn["before"], drawn["after"])
    fit(alone, model=perceptron(pseudo_labels=None), datamodule=digits(unlabeled_batch_size=None))
    assert same(watching.weights[0], alone.weights[0])


def test_a_teacher_of_which_nothing_is_learned_changes_nothing(teacher):
    def assigned():
        method = AssignedLabels(view="strong")
        method.assign(torch.zeros(1438, dtype=torch.int64), torch.zeros(1438), 1.0)
        return perceptron(pseudo_labels=method)

    with pytest.warns(UserWarning, match="none of 141 pool samples"):
        _, first, _ = fit(TeacherLabels(TEACHER, 1.0))
    _, second, _ = fit(model=assigned(), default_root_dir="second")
    assert same(weights_of(first), weights_of(second))


def test_a_pool_in_which_no_label_is_sure_enough_is_told_of_and_training_goes_on(teacher):
    with pytest.warns(UserWarning, match="none of 141 pool samples has a label of confidence >= ") as told:
        trainer, _, datamodule = fit(TeacherLabels(TEACHER, 1.0))
    highest = answers(teacher, datamodule)[1].max()
    assert highest < 1
    (message,) = [str(each.message) for each in told if "TeacherLabels" in str(each.message)]
    assert "confidence >= 1.0" in message
    assert f"the highest is {highest:.4g}" in message
    assert TEACHER in message
    assert trainer.global_step == 6


def test_a_resumed_run_ends_as_an_unbroken_one_and_needs_no_teacher(teacher, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    _, unbroken, _ = fit(TeacherLabels(TEACHER, 0.5), max_epochs=3)
    fit(TeacherLabels(TEACHER, 0.5), max_epochs=1, default_root_dir="broken")
    _, resumed, _ = fit(
        TeacherLabels("gone", 0.5), max_epochs=3, default_root_dir="broken", ckpt_path="broken/checkpoints/last.ckpt"
    )
    assert same(weights_of(unbroken), weights_of(resumed))
    kept = [model.pseudo_labels.get_extra_state() for model in (unbroken, resumed)]
    assert same(*kept)


def test_another_threshold_does_not_touch_the_labels_of_a_resumed_run_and_is_told_of(teacher):
    fit(TeacherLabels(TEACHER, 0.5))
    with pytest.warns(UserWarning, match=r"0\.7 is asked for; the resumed training keeps its labels from .* 0\.5 up"):
        _, model, _ = fit(TeacherLabels(TEACHER, 0.7), max_epochs=3, ckpt_path=LAST)
    assert model.pseudo_labels.current_threshold() == 0.5


def test_a_second_training_is_labelled_anew(teacher):
    same_callback, watching = TeacherLabels(TEACHER, 0.5), Watches()
    fit(same_callback)
    model = perceptron()
    fit(same_callback, watching, model=model, datamodule=digits(seed=5), default_root_dir="again")
    other = digits(seed=5)
    other.setup("fit")
    label, _, index = answers(teacher, other)
    assert torch.equal(watching.kept[0]["label"][index], label)


def test_the_newest_run_of_an_experiment_teaches(teacher):
    content = torch.load(TEACHER, weights_only=True)
    for version, factor in [("version_9", 1.0), ("version_10", -1.0), ("version_11", None)]:
        path = Path("runs", "few", version, "checkpoints", "best.ckpt")
        path.parent.mkdir(parents=True)
        if factor is not None:
            changed = copy.deepcopy(content)
            changed["state_dict"]["net.head.weight"] *= factor
            torch.save(changed, path)
    watching = Watches()
    _, _, datamodule = fit(TeacherLabels("few", 0.0), watching, default_root_dir="runs/frozen/version_0")
    teacher.net.head.weight.data *= -1
    label, _, index = answers(teacher, datamodule)
    assert torch.equal(watching.kept[0]["label"][index], label)


def test_it_answers_with_the_class_counts_it_was_trained_with():
    adjusted = {"hidden": [16], "posthoc_tau": 1.0}
    torch.manual_seed(9)
    model = MLPClassifier((1, 28, 28), 10, **adjusted)
    labels = digits(unlabeled_batch_size=None, num_labeled=None)
    fit(model=model, datamodule=labels, default_root_dir="teacher")
    watching = Watches()
    _, student, datamodule = fit(
        TeacherLabels(TEACHER, 0.0), watching, model=perceptron(**adjusted, batch_norm=False, dropout=0.0)
    )
    assert not torch.equal(student.class_counts, model.class_counts)
    _, confidence, index = answers(model, datamodule)
    torch.testing.assert_close(watching.kept[0]["confidence"][index], confidence)
