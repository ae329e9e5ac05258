"""The callbacks with a Lightning module, data sets and loaders that know nothing of litzoo."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, Dataset

from litzoo.callbacks import (
    BestWeightsEarlyStopping,
    ConfusionMatrixFigure,
    ExponentialMovingAverage,
    MaxLogit,
    NearestNeighbors,
    NoisyLabelFinder,
    PredictionsCSV,
    PredictionSets,
    RunSummary,
    TemperatureScaling,
    UnknownClassDetector,
    ViM,
    fit_temperature,
)
from litzoo.callbacks.plain_modules import collect
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.lit_modules.metrics import EpochOutputs
from tests.training import cpu_trainer

CENTRES = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 0, 3]])
CALLBACKS = [
    lambda: UnknownClassDetector(MaxLogit()),
    lambda: PredictionSets(0.9),
    TemperatureScaling,
    NoisyLabelFinder,
    ConfusionMatrixFigure,
]


class Clusters(Dataset):
    """Three clusters; with `unknown` samples of a fourth."""

    def __init__(self, count, seed, unknown=0, noise=1.5):
        draw = torch.Generator().manual_seed(seed)
        self.y = torch.arange(count) % 3
        self.x = CENTRES[self.y] + noise * torch.randn(count, 3, generator=draw)
        self.x = torch.cat([self.x, torch.randn(unknown, 3, generator=draw) - 6])
        self.y = torch.cat([self.y, torch.full((unknown,), -1)])

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index], index


class Plain(LightningModule):
    """A classifier as people write it: batches are tuples, and its steps return dictionaries."""

    class_names = ("a", "b", "c")

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(3, 8), nn.ReLU()), nn.Linear(8, 3)
        self.register_buffer("temperature", torch.ones(()))

    def run(self, batch, temperature=1.0):
        features = self.body(batch[0])
        return {"features": features, "logits": self.head(features) / temperature}

    def training_step(self, batch, batch_idx):
        outputs = self.run(batch)
        return {**outputs, "loss": nn.functional.cross_entropy(outputs["logits"], batch[1])}

    def validation_step(self, batch, batch_idx):
        outputs = self.run(batch)
        self.log("val/loss", nn.functional.cross_entropy(outputs["logits"], batch[1], ignore_index=-1))
        return outputs

    def test_step(self, batch, batch_idx):
        return self.run(batch, self.temperature)

    def predict_step(self, batch, batch_idx):
        return self.run(batch, self.temperature)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.05)


def loaders(**options):
    sets = {"train": Clusters(300, 0), "val": Clusters(150, 1), "test": Clusters(120, 2, unknown=40)} | options
    return {name: DataLoader(each, 32, shuffle=name == "train") for name, each in sets.items()}


class PlainData(LightningDataModule):
    def train_dataloader(self):
        return loaders()["train"]

    def val_dataloader(self):
        return loaders()["val"]

    def test_dataloader(self):
        return loaders()["test"]

    predict_dataloader = test_dataloader


def fit(*callbacks, module=None, **options):
    torch.manual_seed(0)
    module = module or Plain()
    trainer = cpu_trainer(callbacks=list(callbacks), max_epochs=3, enable_checkpointing=True, num_sanity_val_steps=1)
    served = loaders(**options)
    trainer.fit(module, served["train"], served.get("val"))
    return trainer, module


def evidence(module, data):
    return Evidence(**{name: outputs_of(module, data)[name] for name in ("logits", "features")})


def outputs_of(module, data, temperature=1.0):
    with torch.no_grad():
        return module.eval().run([data.x], temperature)


@pytest.mark.parametrize("score", [MaxLogit, lambda: NearestNeighbors(5), ViM])
def test_unknown_classes_are_found(score):
    detector = UnknownClassDetector(score())
    trainer, module = fit(detector, RunSummary(), PredictionsCSV())
    test = loaders()["test"]
    (found,) = trainer.test(module, test, verbose=False)
    val, train = Clusters(150, 1), Clusters(300, 0)
    own = score()
    own.fit(evidence(module, train), train.y, module.head)
    known = own(evidence(module, val)).sort().values
    threshold = float(known[-(-151 * 95 // 100) - 1])
    assert found["test/unknown/threshold"] == pytest.approx(threshold)
    assert found["test/unknown/auroc"] > 0.5 or isinstance(own, MaxLogit)
    assert Path("run/figures/unknown_scores.png").is_file()
    (content,) = [torch.load(path, weights_only=True) for path in Path().rglob("*.ckpt")]
    assert content["callbacks"]["UnknownClassDetector"]["known_scores"].sort().values.tolist() == known.tolist()
    predictions = torch.cat([each["prediction"] for each in trainer.predict(module, test)])
    scores = own(evidence(module, test.dataset))
    assert ((predictions == -1) == (scores > threshold)).all()
    with Path("run/predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class_name"] == "unknown" for row in rows] == (predictions == -1).tolist()


def test_a_plain_datamodule_serves_all_callbacks():
    callbacks = [
        TemperatureScaling(),
        UnknownClassDetector(NearestNeighbors(), report=[MaxLogit()]),
        PredictionSets(0.9),
        ConfusionMatrixFigure(),
        NoisyLabelFinder(),
        ExponentialMovingAverage(0.9),
    ]
    torch.manual_seed(0)
    module, data = Plain(), PlainData()
    trainer = cpu_trainer(callbacks=callbacks, max_epochs=3, enable_checkpointing=True)
    trainer.fit(module, data)
    (found,) = trainer.test(module, data, verbose=False)
    assert 0.8 < found["test/set_coverage"] <= 1
    assert found["test/temperature"] == pytest.approx(float(module.temperature)) != 1
    assert found["test/unknown/auroc"] > 0.9
    figures = {path.stem for path in Path("run/figures").iterdir()}
    assert {"reliability", "unknown_scores", "confusion_matrix"} <= figures
    (path,) = Path().rglob("*.ckpt")
    loaded = Plain.load_from_checkpoint(path)
    assert float(loaded.temperature) == pytest.approx(float(module.temperature))


def test_the_temperature_is_that_of_the_validation_logits():
    _, module = fit(TemperatureScaling())
    val = Clusters(150, 1)
    expected = fit_temperature(outputs_of(module, val)["logits"], val.y).temperature
    assert float(module.temperature) == pytest.approx(expected, rel=1e-5)


def test_wrong_labels_are_ranked():
    train = Clusters(300, 0, noise=0.7)
    wrong = torch.arange(0, 300, 20)
    train.y[wrong] = (train.y[wrong] + 1) % 3
    fit(NoisyLabelFinder(), train=train)
    with Path("run/suspects.csv").open() as stream:
        first = [int(row["index"]) for row in csv.DictReader(stream)][: len(wrong)]
    assert len({*first} & {*wrong.tolist()}) >= 13
    assert json.loads(Path("run/label_issues.json").read_text())["labels"] == 300


def test_the_best_weights_are_restored():
    stopping = BestWeightsEarlyStopping(patience=1)
    _, module = fit(stopping)
    assert stopping.best_weights is not None
    assert all(torch.equal(each, stopping.best_weights[name]) for name, each in module.state_dict().items())


class Silent(LightningModule):
    """Has nothing of what the callbacks need."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 3)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    validation_step = test_step = training_step

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


NEEDS = ("class_names", "test_step and predict_step", r"logits \[B, K\]", "target and index", r"features \[B, D\]")


@pytest.mark.parametrize("callback", CALLBACKS)
def test_all_that_is_needed_is_told_at_once(callback):
    with pytest.raises(TypeError, match=".*".join(NEEDS)):
        fit(callback(), module=Silent())


class Named(Silent):
    class_names = ("a", "b", "c")


def test_steps_without_outputs_are_refused_by_name():
    with pytest.raises(TypeError, match=r"NoisyLabelFinder needs training steps that return logits \[B, K\].*target"):
        fit(NoisyLabelFinder(), module=Named())
    trainer = cpu_trainer(callbacks=[ConfusionMatrixFigure()])
    message = r"reads the outputs of Named\.test_step, which returns a Tensor; it needs index, logits, target: in a"
    with pytest.raises(TypeError, match=message):
        trainer.test(Named(), loaders(test=Clusters(30, 2))["test"])


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (lambda: UnknownClassDetector(MaxLogit()), "18 calibration samples; it needs 19"),
        (lambda: PredictionSets(0.95), "18"),
        (TemperatureScaling, "18 calibration samples; at least 50"),
        (
            lambda: UnknownClassDetector(MaxLogit(), calibration_fraction=0.5),
            "has no reserve_calibration; leave it",
        ),
    ],
)
def test_too_few_validation_samples_are_refused_before_training(callback, message):
    class Never(Plain):
        def training_step(self, batch, batch_idx):
            raise AssertionError("trained")

    with pytest.raises((ValueError, TypeError), match=message):
        fit(callback(), module=Never(), val=Clusters(18, 1))


def test_several_validation_loaders_are_refused():
    class Several(Plain):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return self.run(batch)

    trainer = cpu_trainer(callbacks=[TemperatureScaling()])
    served = loaders()
    with pytest.raises(ValueError, match="there are 2 val loaders; callbacks that run the model on them need one"):
        trainer.fit(Several(), served["train"], [served["val"], served["test"]])


class TwoLoaders(Plain):
    def test_step(self, batch, batch_idx, dataloader_idx=0):
        return super().test_step(batch, batch_idx)


def test_samples_of_two_test_loaders_with_the_same_indices_are_all_evaluated():
    tested = [DataLoader(Clusters(count, seed), 50) for count, seed in ((100, 2), (60, 3))]
    sets, evaluated = PredictionSets(0.9), []
    trainer, module = fit(sets, module=TwoLoaders())
    sets.evaluate_test = lambda trainer, module, outputs: evaluated.append(outputs)
    trainer.test(module, tested)
    (outputs,) = evaluated
    assert torch.equal(outputs["index"], torch.cat([torch.arange(100), torch.arange(60)]))
    assert torch.equal(outputs["target"], torch.cat([loader.dataset.y for loader in tested]))


def test_outputs_without_logits_are_counted_too():
    collected, trainer = EpochOutputs("prediction"), SimpleNamespace(world_size=1)
    for start in (0, 4):
        outputs = {"prediction": torch.arange(start, start + 4)}
        collect(collected, trainer, "a test", outputs, (torch.zeros(4, 1), torch.zeros(4)))
    gathered = collected.gather()
    assert gathered["index"].tolist() == gathered["prediction"].tolist() == list(range(8))
