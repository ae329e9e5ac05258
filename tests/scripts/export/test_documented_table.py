import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from litzoo import BestCheckpoint, CSVRegressionDataModule, Predictor, Regressor
from litzoo.__main__ import main
from litzoo.datamodules.tables import TableReading
from litzoo.scripts.export.files import export
from tests.scripts.export.exported import documented
from tests.training import cpu_trainer


def houses():
    random = np.random.default_rng(0)
    days = pd.date_range("1950-03-01", periods=60, freq="397D")
    return pd.DataFrame(
        {
            "rooms": random.integers(1, 9, 60).astype(str),
            "built": days.strftime("%d.%m.%Y"),
            "seen": (days + pd.to_timedelta(np.arange(60), "h")).strftime("%Y-%m-%dT%H:%M:%S"),
            "garden": random.choice(["yes", "no"], 60),
            "place": random.choice(["town", "sea", "NA"], 60),
        }
    )


@pytest.mark.parametrize("columns", [["rooms", "built", "seen", "garden", "place"], ["rooms", "seen"], ["place"]])
def test_the_documented_program_without_litzoo_gives_the_predictions(columns):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    frame = houses()[columns]
    random = np.random.default_rng(1)
    for name in columns:
        frame.loc[random.integers(0, 60, 6), name] = "NA"
    frame.to_csv("new_rows.csv", index=False)
    table = frame.mask(frame == "NA", None)
    reading = TableReading.fit(table, date_formats={"built": "%d.%m.%Y"}, target="price")
    torch.manual_seed(0)
    predictor = Predictor(Regressor((reading.num_features,), 200.0, 30.0), reading, device="cpu")
    export(predictor, Path("table.onnx"), "onnx")
    names: dict = {}
    exec(documented("table.onnx"), names)
    expected = predictor("new_rows.csv").prediction
    torch.testing.assert_close(torch.from_numpy(names["answer"]["value"]), expected, atol=1e-3, rtol=1e-5)


def test_the_documented_program_pools_rare_words_as_the_predictor_does(capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    frame = pd.DataFrame({"job": [f"job {number // 3 if number < 30 else number}" for number in range(200)]})
    frame["rooms"] = np.arange(200) % 7
    reading = TableReading.fit(frame, target="price", max_categories=6)
    assert (len(reading.categories[0]), reading.word_features) == (180, [6])
    torch.manual_seed(0)
    predictor = Predictor(Regressor((reading.num_features,), 200.0, 30.0), reading, device="cpu")
    export(predictor, Path("table.onnx"), "onnx")
    new = pd.concat([frame, pd.DataFrame({"job": ["new", "job 0"], "rooms": [1, 2]})])
    new.to_csv("new_rows.csv", index=False)
    names: dict = {}
    exec(documented("table.onnx"), names)
    assert "1 of 202 rows" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="'new'"):
        expected = predictor("new_rows.csv").prediction
    torch.testing.assert_close(torch.from_numpy(names["answer"]["value"]), expected, atol=1e-3, rtol=1e-5)
    assert expected[40] == pytest.approx(float(expected[40 + 7 * 5]))  # other pooled words with the same number


def test_cells_as_people_write_them_are_answered_as_litzoo_predict_does(monkeypatch, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    table = houses().assign(price=range(60), place=np.resize(["town", "sea", "-"], 60))
    table["kind"], table["lot"] = np.resize(["1", "2", "-3", "07"], 60), np.resize(["1.0", "2.0", "A"], 60)
    table.to_csv("table.csv", index=False)
    data = CSVRegressionDataModule(
        file="table.csv", target="price", missing_values=["k.A."], categorical_columns=["kind", "lot"], root="."
    )
    torch.manual_seed(0)
    model = Regressor(data.input_shape, data.target_mean, data.target_std, hidden=[16])
    cpu_trainer(callbacks=[BestCheckpoint()], max_epochs=3, enable_checkpointing=True).fit(model, data)
    new = table.drop(columns="price").head(9).rename(columns={"rooms": " rooms "})
    new["place"] = [" town ", "sea", "-", " - ", "NA", "k.A.", "?", "moon", ""]
    new[" rooms "] = [" 3 ", "-", "?", "k.A.", "NA", "", "4.0", "1e0", "..."]
    new["kind"] = ["1.0", "2", "2.0", "-3.0", "07", "8.0", "", "1.00", "9.0"]
    new["lot"] = ["1", "2", "A", "A.0", "1.0", "2.0", "3", "", "-1"]
    new["garden"] = [" YES", "no ", "?", "-", "NA", "t", "0", "N", "k.A."]
    new.loc[[2, 3, 4], "built"], new.loc[5, "seen"] = ["-", " k.A. ", "?"], f" {new['seen'][5]} "
    new.to_csv("new_rows.csv", index=False, encoding="utf-8-sig")
    checkpoint = "--ckpt_path=run/checkpoints/best.ckpt"
    monkeypatch.setattr("sys.argv", ["litzoo", "export", checkpoint, "--format=onnx", "--output=table.onnx"])
    main()
    monkeypatch.setattr("sys.argv", ["litzoo", "predict", checkpoint, "--input=new_rows.csv", "--device=cpu"])
    with pytest.warns(UserWarning, match=r"'place' has categories in 5 of 9 rows"):
        main()
    with open("predictions.csv", newline="") as stream:
        expected = [float(row["prediction"]) for row in csv.DictReader(stream)]
    capsys.readouterr()
    names: dict = {}
    exec(documented("table.onnx"), names)
    assert capsys.readouterr().out.splitlines() == [
        f"column {name}: {count} of 9 rows have a word that training did not have"
        for name, count in {"place": 5, "kind": 4, "lot": 4}.items()
    ]
    np.testing.assert_allclose(names["answer"]["value"], expected, rtol=1e-4, atol=1e-3)
    new.drop(columns="seen").to_csv("new_rows.csv", index=False)
    with pytest.raises(ValueError, match=r"new_rows\.csv has no column seen"):
        exec(documented("table.onnx"), {})
    new.assign(garden="maybe").to_csv("new_rows.csv", index=False)
    with pytest.raises(KeyError, match="maybe"):
        exec(documented("table.onnx"), {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_the_documented_program_reads_the_encodings_of_spreadsheets(encoding, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    frame = pd.DataFrame({"Straße": ["Süd", "Köln", "Ost €"] * 10, "rooms": range(30)})
    reading = TableReading.fit(frame, target="price")
    torch.manual_seed(0)
    predictor = Predictor(Regressor((reading.num_features,), 200.0, 30.0), reading, device="cpu")
    export(predictor, Path("table.onnx"), "onnx")
    frame.to_csv("new_rows.csv", index=False, encoding=encoding)
    names: dict = {}
    exec(documented("table.onnx"), names)
    expected = predictor(frame).prediction
    torch.testing.assert_close(torch.from_numpy(names["answer"]["value"]), expected, atol=1e-3, rtol=1e-5)
    said = "new_rows.csv is not UTF-8: it is read as cp1252\n" if encoding == "cp1252" else ""
    assert capsys.readouterr().out == said
