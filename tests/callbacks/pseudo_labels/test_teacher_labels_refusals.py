import shutil
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import TeacherLabels
from litzoo.datamodules import DiabetesDataModule
from litzoo.lit_modules import FixMatch, MLPClassifier, Regressor
from tests.callbacks.labeled_pools import RecordsEpochs, digits, fit, perceptron
from tests.counted import count
from tests.malice import RAN, RunsCode

TEACHER = "teacher/checkpoints/last.ckpt"


def train_teacher(**options):
    """Saves the checkpoint of a teacher."""
    model = MLPClassifier((1, 28, 28), **{"num_classes": 10, "hidden": [16], "batch_norm": True, **options})
    known = list(range(model.hparams["num_classes"]))
    datamodule = digits(unlabeled_batch_size=None, known_classes=known)
    fit(model=model, datamodule=datamodule, default_root_dir="teacher", limit_train_batches=1, max_epochs=1)


def error_message(teacher=TEACHER, model=None, error=ValueError):
    """Returns the error message of a training with a teacher."""
    records = RecordsEpochs()
    with pytest.raises(error) as raised:
        fit(TeacherLabels(teacher), records, model=model)
    assert not records.weights
    return str(raised.value)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 99, float("nan")])
def test_a_threshold_outside_0_to_1_raises(threshold):
    with pytest.raises(
        ValueError, match=rf"TeacherLabels\.threshold: {threshold} is not a probability in \[0, 1\]; 0\.99"
    ):
        TeacherLabels("few", threshold)


def test_an_empty_teacher_raises():
    with pytest.raises(ValueError, match=r"TeacherLabels\.teacher is empty; give the path of a checkpoint"):
        TeacherLabels("")


@pytest.mark.parametrize("name", ["few", "gone.ckpt", "runs/few"])
def test_a_missing_teacher_raises(name):
    message = error_message(name, error=FileNotFoundError)
    assert f"TeacherLabels.teacher: {name!r} is neither a file nor an experiment in run" in message
    assert "litzoo fit" in message


def test_an_experiment_still_in_training_raises():
    train_teacher()
    folder = Path("run/few/version_0")
    folder.mkdir(parents=True)
    shutil.copytree("teacher/checkpoints", folder / "checkpoints")
    shutil.copy(TEACHER, folder / "checkpoints/best.ckpt")
    (folder / "run.json").write_text("{}")
    message = error_message("few")
    assert message.startswith("few: the training of its newest run, ")
    assert message.endswith("version_0, is not finished: wait for it, resume it, or give the path of the checkpoint")
    (folder / "metrics.json").write_text("{}")
    fit(TeacherLabels("few"))


def test_an_experiment_without_a_best_checkpoint_raises():
    path = Path("run/few/version_0/checkpoints/last.ckpt")
    path.parent.mkdir(parents=True)
    path.touch()
    assert "checkpoints/best.ckpt" in error_message("few", error=FileNotFoundError)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b"hello\n"), "no checkpoint, or a damaged one"),
        (lambda path: torch.save({"state_dict": {}}, path), "not a Lightning checkpoint"),
        (lambda path: torch.save({"trainer": torch.nn.Linear(1, 1)}, path), "no checkpoint, or a damaged one"),
        (lambda path: torch.save({"state_dict": RunsCode()}, path), "no checkpoint, or a damaged one"),
    ],
    ids=["text", "weights alone", "objects", "code"],
)
def test_a_file_that_is_not_a_checkpoint_raises(write, words):
    write(Path("bad.ckpt"))
    message = error_message("bad.ckpt")
    assert message.startswith("TeacherLabels.teacher bad.ckpt: ")
    assert words in message
    assert not RAN.exists()
    count("inputs refused")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_names": list("0123456798")}, "'9' there and '8' here"),
        ({"class_names": ["zero", *"123456789"]}, "'zero' there and '0' here"),
        ({"num_classes": 7}, "7 of them there and 10 here"),
    ],
    ids=["order", "names", "number"],
)
def test_a_teacher_with_other_classes_raises(options, words):
    train_teacher(**options)
    message = error_message()
    assert f"TeacherLabels.teacher {TEACHER}: has learned other classes, {words}" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": [8]}, "net.trunk.1.weight has the shape [8, 784] there, [16, 784] in the MLPClassifier"),
        ({"batch_norm": False}, "net.trunk.2.weight is missing there, and has the shape [16] in the MLPClassifier"),
    ],
    ids=["width", "batch norm"],
)
def test_a_teacher_with_another_network_raises(options, words):
    train_teacher(**options)
    message = error_message()
    assert f"TeacherLabels.teacher {TEACHER}: has another architecture: {words}" in message
    assert "config.yaml" in message


def test_a_method_that_computes_its_own_labels_raises():
    message = error_message(model=perceptron(pseudo_labels=FixMatch()))
    assert "TeacherLabels assigns labels, but FixMatch computes its own: set model.pseudo_labels to" in message


def test_a_module_without_pseudo_labels_raises():
    assert "TeacherLabels needs pseudo-labels" in error_message(model=perceptron(pseudo_labels=None))


def test_a_module_without_classes_raises():
    with pytest.raises(TypeError, match=r"TeacherLabels assigns labels of classes, .* choose a classifier"):
        fit(TeacherLabels(TEACHER), model=Regressor((10,)), datamodule=DiabetesDataModule())
