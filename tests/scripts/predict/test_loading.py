import sys
from pathlib import Path

import pytest
import torch

from litzoo import Predictor
from litzoo.callbacks import MaxLogit, NearestNeighbors, UnknownClassDetector
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules import ShapesDataModule
from litzoo.lit_modules import Classifier, MaskRCNNSegmenter, MLPClassifier
from litzoo.scripts.predict.loading import named_class
from tests.callbacks.open_set_digits import BEST, digits, fit, perceptron
from tests.training import cpu_trainer

OWN = """
import pathlib, torch
from litzoo import Classifier
pathlib.Path("imported").touch()

class Loss(torch.nn.Module):
    def forward(self, logits, target):
        return torch.nn.functional.cross_entropy(logits, target)

class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body, self.head = torch.nn.Flatten(), torch.nn.Linear(784, classes)
    def features(self, x):
        return self.body(x)
    def forward(self, x):
        return self.head(self.features(x))

class Mine(Classifier):
    def __init__(self, input_shape, num_classes, **options):
        super().__init__(Net(num_classes), num_classes, **options)
"""


class MyScore(MaxLogit):
    def __call__(self, evidence: Evidence):
        return super().__call__(evidence) / 2


def changed(best_ckpt, change):
    content = torch.load(best_ckpt, weights_only=True)
    change(content)
    torch.save(content, "changed.ckpt")
    return "changed.ckpt"


def test_nothing_that_a_checkpoint_names_is_imported(best_ckpt):
    Path("evil.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    sys.path.insert(0, ".")

    def change(content):
        content["hyper_parameters"] |= {"loss": {"class_path": "evil.Loss"}, "optimizer": {"class_path": "evil.Adam"}}
        content["hyper_parameters"]["_instantiator"] = "evil.instantiate"

    try:
        Predictor.load(changed(best_ckpt, change))
        for path in ("evil.Module", "evil.CNNClassifier", "litzoo.evil.CNNClassifier", "torch.nn.Linear"):
            with pytest.raises(ValueError, match=rf"its module, {path}, is not one of litzoo's: name its class"):
                Predictor.load(changed(best_ckpt, lambda c, path=path: c["hyper_parameters"].update(_class_path=path)))
        nested = {"class_path": "evil.Rate"}
        with pytest.raises(ValueError, match=r"its option dropout is an object of evil\.Rate"):
            Predictor.load(changed(best_ckpt, lambda c: c["hyper_parameters"].update(dropout=nested)))
    finally:
        sys.path.remove(".")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.pop("DigitsDataModule"),
            "without preprocessing: it was trained on data loaders, or .*; in Pyth",
        ),
        (lambda c: c["DigitsDataModule"].pop("images"), "its DigitsDataModule: the checkpoint is of litzoo 0"),
        (lambda c: c.update(Mine={"fingerprint": c.pop("DigitsDataModule")}), "of its Mine, which is not one of litz"),
        (lambda c: c["hyper_parameters"].update(widths=[4, 9]), "is of another module: "),
        (lambda c: c["hyper_parameters"].update(depths=3), "cannot be created from its options"),
        (lambda c: c["callbacks"]["UnknownClassDetector"].pop("rule"), "of litzoo 0.1"),
        (lambda c: c["callbacks"]["UnknownClassDetector"].update(statistics={}), "lacks the statistics of Nearest"),
        (lambda c: c["callbacks"]["UnknownClassDetector"]["rule"].update(score="Mine"), r"pass score=Mine\(\.\.\.\)"),
        (lambda c: c["callbacks"]["UnknownClassDetector"]["rule"].update(score="Evidence"), r"pass score=Evidence"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(best_ckpt, change, message):
    with pytest.raises(ValueError, match=rf"checkpoint changed\.ckpt: .*{message}"):
        Predictor.load(changed(best_ckpt, change))


@pytest.mark.parametrize("name", ["best", "last"])
@pytest.mark.parametrize("is_in_run", [True, False])
def test_a_mask_rcnn_is_refused_with_the_command_that_predicts_new_images(name, is_in_run):
    path = Path("runs/mine/version_3/checkpoints", f"{name}.ckpt") if is_in_run else Path(f"{name}.ckpt")
    data = ShapesDataModule(images=4, val_size=1)
    model = MaskRCNNSegmenter(3, ("circle", "square", "triangle"), proposals=10)
    trainer = cpu_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(model, data)
    trainer.save_checkpoint(path)
    if is_in_run:
        path.parents[1].joinpath("config.yaml").touch()
    with pytest.raises(ValueError, match=r"^checkpoint \S+: a MaskRCNNSegmenter is not predicted from") as refusal:
        Predictor.load(path)
    config = "runs/mine/version_3/config.yaml" if is_in_run else "RUN/config.yaml"
    chosen = "" if is_in_run and name == "best" else f" --ckpt_path {path}"
    assert f"`litzoo predict --config {config}{chosen} --data.predict_folder FOLDER`" in str(refusal.value)


def test_a_file_that_is_no_checkpoint_is_refused():
    Path("text.ckpt").write_text("nothing")
    torch.save({"state_dict": {}}, "weights.ckpt")
    with pytest.raises(ValueError, match=r"checkpoint text\.ckpt: this is no checkpoint"):
        Predictor.load("text.ckpt")
    with pytest.raises(ValueError, match=r"checkpoint weights\.ckpt: this is a file of torch, but not a Lightning"):
        Predictor.load("weights.ckpt")
    with pytest.raises(FileNotFoundError, match=r"checkpoint none\.ckpt: there is no such file"):
        Predictor.load("none.ckpt")


def test_a_module_of_ones_own_is_named_or_passed(monkeypatch):
    Path("my_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(".")
    owner = named_class("my_own.Mine")
    assert issubclass(owner, Classifier)
    loss = sys.modules["my_own"].Loss()
    fit(UnknownClassDetector(NearestNeighbors(3), count=1), model=owner((1, 28, 28), 7, loss=loss))
    with pytest.raises(ValueError, match=r"its module, Mine, is not one of litzoo's: name its class, `--module my_"):
        Predictor.load(BEST)
    data = digits()
    data.setup("test")
    first = Predictor.load(BEST, module=owner)(data.test_set.inputs)
    second = Predictor.load(BEST, module=owner((1, 28, 28), 7))(data.test_set.inputs)
    assert torch.equal(first.unknown_score, second.unknown_score)
    with pytest.raises(ValueError, match="is of another module"):
        Predictor.load(BEST, module=perceptron())
    with pytest.raises(ValueError, match=r"--module my_own\.Net: is no LightningModule"):
        named_class("my_own.Net")
    with pytest.raises(ValueError, match=r"--module none\.Mine: cannot be imported"):
        named_class("none.Mine")


def test_a_score_of_ones_own_is_passed():
    fit(UnknownClassDetector(MyScore(), count=1))
    with pytest.raises(ValueError, match=r"MyScore, is not one of litzoo's: pass score=MyScore\(\.\.\.\)"):
        Predictor.load(BEST)
    with pytest.raises(ValueError, match=r"score: MaxLogit\(\) was not fitted; the checkpoint holds MyScore\(\)"):
        Predictor.load(BEST, score=MaxLogit())
    predictor = Predictor.load(BEST, score=MyScore())
    assert predictor.detection.score_name == "MyScore"


def test_states_of_losses_and_pseudo_labels_are_not_needed():
    from litzoo.lit_modules import EarlyLearningRegularization

    model = perceptron(loss=EarlyLearningRegularization())
    fit(UnknownClassDetector(MaxLogit(), count=1), model=model)
    assert any(name.startswith("loss.") for name in torch.load(BEST, weights_only=True)["state_dict"])
    assert isinstance(Predictor.load(BEST).module, MLPClassifier)
