import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from litzoo import Predictor
from litzoo.__main__ import main
from litzoo.callbacks import BestCheckpoint, ConformalIntervals, MaxLogit, PredictionsCSV, UnknownClassDetector
from litzoo.callbacks.reporting.predictions_csv import label_note
from litzoo.datamodules import CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.lit_modules import MLPClassifier, Regressor
from tests.scripts.export.exported import documented
from tests.scripts.helpers import lines_of_error
from tests.training import cpu_trainer


def write_table(path: str, rows: int = 300, **others) -> pd.DataFrame:
    random = np.random.default_rng(0)
    width = random.normal(3, 1, rows)
    place = random.choice(["town", "sea", "hill"], rows)
    frame = pd.DataFrame({"width": width.round(3), "place": place, "price": (width * 10).round(1)})
    frame["kind"] = np.where(width > 3, "large", "small")
    frame.loc[3, "width"] = None
    frame = frame.assign(**others)
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture
def classifier():
    """A checkpoint of a row classifier, with unknown-class detection, and the trainer's predictions for the test."""
    write_table("table.csv")
    data = CSVClassificationDataModule(file="table.csv", target="kind", drop_columns=["price"], root=".")
    torch.manual_seed(0)
    model = MLPClassifier(data.input_shape, data.num_classes, class_names=data.class_names, hidden=[8])
    callbacks = [UnknownClassDetector(MaxLogit(), acceptance=0.9), PredictionsCSV(), BestCheckpoint()]
    trainer = cpu_trainer(callbacks=callbacks, max_epochs=3, enable_checkpointing=True)
    trainer.fit(model, data)
    trainer.predict(model, data, ckpt_path="run/checkpoints/best.ckpt")
    with Path("run/predictions.csv").open(newline="") as stream:
        return Path("run/checkpoints/best.ckpt"), list(csv.DictReader(stream))


def test_rows_are_predicted_without_the_training_table(classifier, monkeypatch):
    checkpoint, tested = classifier
    frame = pd.read_csv("table.csv")
    Path("table.csv").unlink()
    rows = [int(row["row"]) - 2 for row in tested]  # the header is row 1
    # Other order of columns, separator and decimal sign; the target is absent, and what was left out may stay.
    new = frame.iloc[rows][["place", "price", "width"]]
    new.to_csv("new.csv", index=False, sep=";", decimal=",")
    monkeypatch.setattr("sys.argv", ["litzoo", "predict", f"--ckpt_path={checkpoint}", "--input=new.csv"])
    main()
    with Path("predictions.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert list(found[0])[:3] == ["place", "price", "width"]
    for name in ("prediction", "class_name", "unknown_score"):
        assert [row[name] for row in found] == [row[name] for row in tested]
    assert {row["class_name"] for row in found} == {"large", "small", "unknown"}
    predictor = Predictor.load(checkpoint)
    assert predictor(new).names == predictor("new.csv").names == [row["class_name"] for row in tested]


def test_the_documented_lines_make_a_file_of_identifiers_and_classes(monkeypatch):
    frame = write_table("table.csv", id=[f"{number:04}" for number in range(300)], kind=["01", "NA"] * 150)
    data = CSVClassificationDataModule(file="table.csv", target="kind", keep_default_missing=False, root=".")
    model = MLPClassifier(data.input_shape, data.num_classes, class_names=data.class_names, hidden=[8])
    cpu_trainer(callbacks=[BestCheckpoint()], max_epochs=1, enable_checkpointing=True).fit(model, data)
    frame.drop(columns="kind").to_csv("new.csv", index=False)
    checkpoint = "--ckpt_path=run/checkpoints/best.ckpt"
    monkeypatch.setattr("sys.argv", ["litzoo", "predict", checkpoint, "--input=new.csv"])
    main()
    exec(documented("submission.csv"), {})
    with Path("submission.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["id", "target"]
    assert [name for name, _ in rows] == frame["id"].tolist()
    assert [kind for _, kind in rows] == Predictor.load("run/checkpoints/best.ckpt")("new.csv").names
    assert {kind for _, kind in rows} <= {"01", "NA"}


def test_a_regressor_gives_values_in_the_units_of_the_target():
    frame = write_table("table.csv")
    data = CSVRegressionDataModule(file="table.csv", target="price", drop_columns=["kind"], root=".")
    torch.manual_seed(0)
    model = Regressor(data.input_shape, data.target_mean, data.target_std, hidden=[16])
    trainer = cpu_trainer(callbacks=[BestCheckpoint()], max_epochs=40, enable_checkpointing=True)
    trainer.fit(model, data)
    found = Predictor.load("run/checkpoints/best.ckpt", batch_size=7)(frame.drop(columns=["price", "kind"]))
    assert (found.names, found.probabilities, found.unknown_score) == ([], None, None)
    assert found.unknown.tolist() == [False] * 300
    errors = (found.prediction - torch.tensor(frame["price"].to_numpy())).abs()
    assert float(errors.median()) < 5
    assert list(found.columns()) == ["prediction"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="width"), "no column 'width', which was used in training"),
        (lambda frame: frame.assign(height=1), "column 'height' did not exist in training"),
        (lambda frame: frame.assign(width="wide"), "column 'width' has text, but was numeric in training"),
    ],
)
def test_other_columns_are_refused_by_name(classifier, change, message, capsys, monkeypatch):
    change(pd.read_csv("table.csv")).to_csv("new.csv", index=False)
    words = ["predict", "--ckpt_path", str(classifier[0]), "--input", "new.csv"]
    lines = lines_of_error(main, words, capsys, monkeypatch)
    assert message in lines[0]
    assert not Path("predictions.csv").exists()


def test_images_are_refused_by_a_model_of_tables(classifier):
    predictor = Predictor.load(classifier[0])
    with pytest.raises(TypeError, match="Tensor is not a table; give a pandas data frame"):
        predictor(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        predictor("none.csv")


def test_the_output_keeps_the_cells_of_the_input_as_they_are_written(classifier, monkeypatch):
    Path("new.csv").write_text("place;width;price\nNA;2,5;007\nsea;NA;\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["litzoo", "predict", f"--ckpt_path={classifier[0]}", "--input=new.csv"])
    with pytest.warns(UserWarning, match="missing"):
        main()
    with Path("predictions.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [[row[name] for name in ("place", "width", "price")] for row in found] == [
        ["NA", "2,5", "007"],
        ["sea", "NA", ""],
    ]


def test_an_input_named_like_an_output_is_kept_under_another_name(monkeypatch):
    frame = write_table("table.csv").rename(columns={"place": "prediction"})
    frame.to_csv("table.csv", index=False)
    data = CSVClassificationDataModule(file="table.csv", target="kind", drop_columns=["price"], root=".")
    model = MLPClassifier(data.input_shape, data.num_classes, class_names=data.class_names, hidden=[8])
    trainer = cpu_trainer(callbacks=[BestCheckpoint()], max_epochs=1, enable_checkpointing=True)
    trainer.fit(model, data)
    words = ["litzoo", "predict", "--ckpt_path=run/checkpoints/best.ckpt", "--input=table.csv"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.warns(UserWarning, match="'prediction' of the table is named 'prediction_in_file' there"):
        main()
    with Path("predictions.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["prediction_in_file"] for row in found] == frame["prediction"].tolist()
    expected = Predictor.load("run/checkpoints/best.ckpt")(frame).prediction
    assert [int(row["prediction"]) for row in found] == expected.tolist()


def test_a_cell_that_does_not_fit_is_named_with_its_file(classifier, monkeypatch, capsys):
    checkpoint, _ = classifier
    pd.read_csv("table.csv").assign(width="wide").to_csv("new_rows.csv", index=False)
    error = lines_of_error(main, ["predict", f"--ckpt_path={checkpoint}", "--input=new_rows.csv"], capsys, monkeypatch)
    assert "new_rows.csv: column 'width' has text, but was numeric in training: 'wide' in row" in " ".join(error)


def test_intervals_around_large_numbers_are_written_to_the_digit():
    """Six digits of 1,000,262.8 would be steps of ten."""
    write_table("table.csv")
    data = CSVRegressionDataModule(file="table.csv", target="price", drop_columns=["kind"], root=".")
    data.setup("predict")
    torch.manual_seed(0)
    model = Regressor(data.input_shape, 1_000_100.0, 70.0)
    intervals = ConformalIntervals(0.9).fit(torch.zeros(20), torch.arange(20.0) / 30)
    predictions = Predictor(model, data.reading, device="cpu", conformal=intervals)("table.csv")
    columns = predictions.columns()
    for name in ("prediction", "lower", "upper"):
        values = getattr(predictions, name)
        assert np.array_equal(np.float32(columns[name]), values.numpy())
        assert all("e" not in cell for cell in columns[name])
    assert (np.float64(columns["upper"]) > np.float64(columns["lower"])).all()


def test_classes_with_other_numbers_than_their_positions_are_explained(monkeypatch, capsys):
    grades = np.where(write_table("table.csv", 60)["place"] == "sea", "3", "1")
    write_table("table.csv", 60, kind=grades)
    data = CSVClassificationDataModule(file="table.csv", target="kind", root=".")
    model = MLPClassifier(data.input_shape, data.num_classes, class_names=data.class_names, hidden=[8])
    trainer = cpu_trainer(callbacks=[PredictionsCSV(), BestCheckpoint()], max_epochs=1, enable_checkpointing=True)
    trainer.fit(model, data)
    note = "The column prediction counts the classes from 0, class_name has the label: prediction 0 is the class 1\n"
    capsys.readouterr()
    trainer.predict(model, data)
    assert note in capsys.readouterr().out
    arguments = ["litzoo", "predict", "--ckpt_path=run/checkpoints/best.ckpt", "--input=table.csv", "--device=cpu"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    assert note in capsys.readouterr().out
    assert not label_note(["0", "1", "2"])
    assert not label_note(["1", "two"])
    assert not label_note(())
