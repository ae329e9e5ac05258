"""One's own table through the command: trained, tested in other forms, predicted."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

from tests.scripts.helpers import CONFIGS, litzoo

pytestmark = pytest.mark.usefixtures("drawn_figures")
OURS = ["--config", str(CONFIGS / "california_housing.yaml"), "--data.file=houses.csv", "--data.id_columns=[number]"]
SHORT = ["--trainer.max_epochs=2", "--trainer.num_sanity_val_steps=0"]


def forms(tiny_data):
    """Writes a table with identifiers as `houses.csv`, and as other programs would write it."""
    with (tiny_data / "california_housing.csv").open(newline="") as stream:
        head, *body = list(csv.reader(stream))
    head, body = ["number", *head], [[f"h{number}", *row] for number, row in enumerate(body)]
    write("houses.csv", head, body, ",")
    write("reordered.csv", head[::-1], [row[::-1] for row in reversed(body)], ",")
    write("german.csv", head, [[cell.replace(".", ",") for cell in row] for row in body], ";")
    write("new.csv", head[:-2] + head[-1:], [row[:-2] + row[-1:] for row in body[:7]], ",")
    write("renamed.csv", [name.replace("longitude", "length") for name in head], body, ",")


def write(name, head, body, separator):
    with open(name, "w", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows([head, *body])


def predicted(folder, name="predictions.csv"):
    with (folder / name).open(newline="") as stream:
        return {row["number"]: row["prediction"] for row in csv.DictReader(stream)}


def test_other_forms_of_the_same_table_give_the_same_numbers(tiny_data):
    forms(tiny_data)
    folder = litzoo("fit", *OURS, *SHORT).run_folder
    config = ["--config", str(folder / "config.yaml")]
    metrics = json.loads((folder / "metrics.json").read_text())
    litzoo("predict", *config)
    before = predicted(folder)
    for name in ("reordered.csv", "german.csv"):
        litzoo("test", *config, f"--data.file={name}")
        # Sums over the rows in another order differ in their last digits.
        assert json.loads((folder / "metrics.json").read_text()) == pytest.approx(metrics, rel=1e-5)
        litzoo("predict", *config, f"--data.file={name}")
        assert predicted(folder) == before
    with pytest.raises(ValueError, match=r"renamed\.csv.*no column 'longitude'"):
        litzoo("test", *config, "--data.file=renamed.csv")


def test_new_rows_are_predicted_without_the_training_table(tiny_data):
    forms(tiny_data)
    folder = litzoo("fit", *OURS, *SHORT).run_folder
    Path("houses.csv").unlink()
    alone = rf"houses\.csv cannot be read(.|\n)*litzoo predict --ckpt_path {folder}/checkpoints/best\.ckpt --input"
    with pytest.raises(FileNotFoundError, match=alone):
        litzoo("predict", "--config", str(folder / "config.yaml"))
    with pytest.raises(FileNotFoundError, match=r"none\.csv cannot be read \([^\n]*$"):
        litzoo("predict", "--config", str(folder / "config.yaml"), "--data.predict_file=none.csv")
    litzoo("predict", "--config", str(folder / "config.yaml"), "--data.predict_file=new.csv")
    assert list(predicted(folder, "predictions_new.csv")) == [f"h{number}" for number in range(7)]
    assert not (folder / "predictions.csv").exists()


def test_missing_words_are_added_to_the_default_ones_as_the_refusal_says(tiny_data):
    forms(tiny_data)
    with open("houses.csv", newline="") as stream:
        head, *body = csv.reader(stream)
    for row, word in zip(body, ["k,A,", "none: yet", "9999-12-31", "-999 m", "NA", "null", "?"], strict=False):
        row[head.index("population")] = word
    write("houses.csv", head, body, ",")
    with pytest.raises(ValueError, match=r"'population' has numbers, but also 4 cells") as refusal:
        litzoo("fit", *OURS, *SHORT)
    option = re.search(r"--data\.missing_values\+=('.*?'|\S+)", str(refusal.value))
    reading = litzoo("fit", *OURS, *SHORT, *shlex.split(option[0]), "--test_after_fit=false").datamodule.reading
    assert {column.name: column.kind for column in reading.columns}["population"] == "number"
    assert {"k,A,", "none: yet", "9999-12-31", "-999 m", "NA", "null"} < reading.format.missing()


def test_a_classifier_is_trained_on_ones_own_table(tiny_data):
    forms(tiny_data)
    options = ["--data.file=houses.csv", "--data.id_columns=[number]", "--data.batch_size=16"]
    folder = litzoo("fit", "--config", str(CONFIGS / "csv_classifier.yaml"), *options, *SHORT).run_folder
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "confusion_matrix.png",
        "importance.png",
        "training_curves.png",
    }
    litzoo("predict", "--config", str(folder / "config.yaml"), "--data.predict_file=german.csv")
    with (folder / "predictions_german.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["index", "row", "number", "prediction", "confidence", "class_name"]
    assert [row["row"] for row in rows[:2]] == ["2", "3"]
    assert {row["class_name"] for row in rows} <= {"NEAR BAY", "INLAND", "<1H OCEAN"}
