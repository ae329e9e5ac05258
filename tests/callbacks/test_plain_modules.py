"""The callbacks with a Lightning module, data sets and loaders that know nothing of litzoo."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

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
from tests.callbacks.plain import Clusters, Plain, PlainData, fit, loaders
from tests.training import cpu_trainer


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
