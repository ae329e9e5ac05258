"""A run's checkpoint is tested with corrections: what the command says, and what is in the run's files."""

import json
from pathlib import Path

import pytest

from tests.datamodules.splits.test_corrections import write
from tests.scripts.helpers import litzoo, short_fit


def read(cli, name):
    return json.loads((Path(cli.run_folder) / name).read_text())


def test_metrics_summary_and_splits_say_that_test_labels_are_corrected(capsys):
    cli = short_fit("--data.val_size=50", "--test_after_fit=true")
    before, splits = read(cli, "metrics.json"), read(cli, "splits.json")
    label = int(cli.datamodule.test_labels[0])
    rows = [
        {"index": 0, "part": "test", "action": "relabel", "label": (label + 1) % 10},
        {"index": 1, "part": "test", "action": "drop", "label": ""},
        {"index": int(cli.datamodule.split.train[0]), "part": "train", "action": "drop", "label": ""},
    ]
    file, config = write(rows), str(Path(cli.run_folder) / "config.yaml")
    capsys.readouterr()
    with pytest.warns(UserWarning, match="was trained without corrections: of 359 test samples, 1 is relabelled"):
        litzoo("test", "--config", config, f"--data.corrections={file}")
    assert f"The test labels are those after {file}: of 359 test samples, 1 is relabelled and 1 is dropped." in (
        " ".join(capsys.readouterr().out.split())
    )
    after = read(cli, "metrics.json")
    assert {name: after[name] for name in after if "corrections" in name} == {
        "test/corrections/relabelled": 1,
        "test/corrections/dropped": 1,
    }
    assert after["test/loss"] != before["test/loss"]
    tested = read(cli, "splits.json")
    assert tested["test_corrections"]["dropped"]["test"] == 1
    assert (tested["sizes"]["test"], tested["fingerprint"]) == (358, splits["fingerprint"])
    assert "corrections" not in tested
    litzoo("test", "--config", config)
    assert read(cli, "metrics.json") == before
    assert read(cli, "splits.json") == splits


def test_a_test_of_a_corrected_run_leaves_the_counts_of_its_training():
    plain = short_fit("--data.val_size=50")
    rows = [{"index": int(plain.datamodule.split.train[0]), "part": "train", "action": "drop"}]
    rows.append({"index": 1, "part": "test", "action": "drop"})
    cli = short_fit("--data.val_size=50", f"--data.corrections={write(rows)}", "--test_after_fit=true")
    splits = read(cli, "splits.json")
    assert splits["corrections"]["dropped"] == {"train": 1, "val": 0, "test": 1}
    assert read(cli, "metrics.json")["test/corrections/dropped"] == 1
    litzoo("test", "--config", str(Path(cli.run_folder) / "config.yaml"))
    assert read(cli, "splits.json") == splits
