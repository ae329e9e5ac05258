import csv
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import PredictionsCSV
from litzoo.callbacks.reporting.predictions_csv import joined_names
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule
from litzoo.lit_modules import Regressor, SoftmaxRegression
from tests.training import cpu_trainer


def predict(model, datamodule, **options):
    trainer = cpu_trainer(callbacks=[PredictionsCSV()], **options)
    trainer.predict(model, datamodule, return_predictions=False)
    with Path("run/predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_predictions_are_the_argmax_in_the_order_of_the_index():
    names = [f"Größe, {number}" for number in range(10)]  # a comma and letters beyond ASCII
    model, datamodule = SoftmaxRegression((1, 28, 28), 10, class_names=names), DigitsDataModule(eval_batch_size=100)
    rows = predict(model, datamodule)
    probabilities = model(datamodule.normalise(datamodule.test_set.inputs)).softmax(dim=1)
    confidence, predicted = probabilities.max(dim=1)
    assert list(rows[0]) == ["index", "prediction", "confidence", "class_name"]
    assert [int(row["index"]) for row in rows] == list(range(359))
    assert [int(row["prediction"]) for row in rows] == predicted.tolist()
    assert [row["class_name"] for row in rows] == [names[label] for label in predicted]
    assert [float(row["confidence"]) for row in rows] == pytest.approx(confidence.tolist(), rel=1e-4)


def test_regression_has_neither_class_names_nor_confidence():
    datamodule = DiabetesDataModule(eval_batch_size=30)
    model = Regressor(datamodule.input_shape, datamodule.target_mean, datamodule.target_std)
    rows = predict(model, datamodule)
    with torch.no_grad():
        expected = model(datamodule.test_set.inputs).squeeze(1) * datamodule.target_std + datamodule.target_mean
    assert list(rows[0]) == ["index", "prediction"]
    assert [float(row["prediction"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-6)


def test_a_single_sample_is_written_too():
    rows = predict(Regressor((10,)), DiabetesDataModule(eval_batch_size=1), limit_predict_batches=1)
    assert [row["index"] for row in rows] == ["0"]


def test_a_second_prediction_does_not_repeat_the_first():
    trainer = cpu_trainer(callbacks=[PredictionsCSV()])
    model, datamodule = Regressor((10,)), DiabetesDataModule()
    trainer.predict(model, datamodule)
    before = Path("run/predictions.csv").read_text()
    trainer.predict(model, datamodule)
    assert Path("run/predictions.csv").read_text() == before


def test_the_number_of_predictions_and_the_file_are_printed(capsys):
    predict(Regressor((10,)), DiabetesDataModule())
    assert f"88 predictions in {Path('run/predictions.csv')}" in capsys.readouterr().out


def test_class_names_with_the_separator_of_sets_are_quoted():
    names = ["a", "b|c", 'd"e', "f"]
    held = torch.tensor([[True, True, False, True], [False, True, True, False], [True, False, False, True]])
    cells = joined_names(held, names)
    assert cells == ['a|"b|c"|f', '"b|c"|"d""e"', "a|f"]
    for cell, row in zip(cells, held.tolist(), strict=True):
        (found,) = csv.reader([cell], delimiter="|")
        assert found == [name for name, each in zip(names, row, strict=True) if each]
