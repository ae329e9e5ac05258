"""The code of docs/python.md, as printed."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import beta
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from litzoo import Predictor
from litzoo.__main__ import main
from tests.scripts.helpers import CONFIGS, QUIET

PAGE = (CONFIGS.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.search(r"```bash\nlitzoo (fit --data my_code.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", "")


OWN_CODE = "# my_code.py\n"
THRESHOLD = "# threshold.py\n"


def test_a_model_is_trained_loaded_and_used(capsys):
    Path("page.py").write_text("\n".join(block for block in BLOCKS if not block.startswith((OWN_CODE, THRESHOLD))))
    found = runpy.run_path("page.py")
    assert "training labels are flagged" in capsys.readouterr().out
    images = Predictor.load("digits.ckpt", device="cpu")(found["images"])
    assert torch.allclose(images.probabilities, found["probabilities"], atol=1e-6)
    assert images.probabilities.sum().item() == pytest.approx(1)
    assert found["predictor"].preparation.shape == (2,)
    assert set(found["found"].names) <= {"0", "1"}
    assert found["prediction"].tolist() == [-1] * 4
    assert found["own"].class_names == ["0", "1"]
    with pytest.raises(TypeError, match="uint8 images must be normalised first"):
        found["model"](found["images"])
    require_threshold(found)


def require_threshold(found):
    """Checks the threshold of the page, the recall that it promises, and the metrics, with scikit-learn."""
    data, rare, threshold = (found[name] for name in ("data", "rare", "threshold"))
    batches = list(data.evaluation_batches("val", "cpu"))
    target = torch.cat([batch["target"] for batch in batches])
    scores = torch.cat([rare.probabilities(batch["input"]) for batch in batches])[:, 1]
    assert recall_score(target, scores >= threshold) >= 0.9
    assert recall_score(target, scores > threshold) <= 0.9
    truth, scores = found["y"][6000:], found["logits"].softmax(dim=1)[:, 1]
    assert float(found["recall"]) == pytest.approx(recall_score(truth, found["flagged"]))
    assert float(found["precision"]) == pytest.approx(precision_score(truth, found["flagged"]))
    assert float(found["recall"]) > 0.75
    assert float(rare.temperature) != 1
    (again,) = found["trainer"].test(rare, data, verbose=False)
    assert again["test/average_precision"] == pytest.approx(average_precision_score(truth, scores), abs=1e-6)
    assert again["test/auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)


def test_the_ranges_of_the_recall_are_those_of_an_order_statistic():
    text = " ".join(PAGE.split())
    said = re.search(
        r"between ([\d.]+) and ([\d.]+) with (\d+) of them, ([\d.]+) and ([\d.]+) with (\d+), "
        r"([\d.]+) and ([\d.]+) with (\d+)\.",
        text,
    )
    numbers = [float(each) for each in said.groups()]
    for low, high, n in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        rank = (n + 1) // 10  # of the threshold among the n probabilities
        missed = beta(rank, n + 1 - rank)
        assert (low, high) == (round(1 - missed.ppf(0.95), 2), round(1 - missed.ppf(0.05), 2))


@pytest.mark.slow
def test_the_installed_command_finds_code_in_the_current_folder():
    (code,) = [block for block in BLOCKS if block.startswith(OWN_CODE)]
    Path("my_code.py").write_text(code)
    litzoo = Path(sys.executable).with_name("litzoo")
    ended = subprocess.run([litzoo, *shlex.split(COMMAND), *QUIET], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"test/acc +│ 1\.0000", ended.stdout), ended.stdout
    (record,) = Path("runs").rglob("run.json")
    assert json.loads(record.read_text())["command"].startswith("litzoo fit ")


def test_the_threshold_for_a_run_of_the_command_is_that_of_its_validation_rows(monkeypatch, capsys):
    random = np.random.default_rng(0)
    is_rare = random.random(1200) < 0.15
    frame = pd.DataFrame({"age": random.integers(18, 80, 1200), "balance": random.normal(2 * is_rare).round(4)})
    frame["churned"] = np.where(is_rare, "ja", "nein")
    frame[:1000].to_csv("table.csv", index=False, sep=";", decimal=",")
    frame[1000:].drop(columns="churned").to_csv("new_rows.csv", index=False, sep=";", decimal=",")
    options = ["--data=CSVClassificationDataModule", "--data.file=table.csv", "--data.target=churned"]
    options += ["--data.known_classes=[nein, ja]", "--data.val_size=0.3", "--experiment=csv_classifier"]
    options += ["--model=SoftmaxRegression", "--trainer.max_epochs=4", "--trainer.accelerator=cpu", *QUIET]
    monkeypatch.setattr("sys.argv", ["litzoo", "fit", *options])
    main()
    (command,) = re.findall(r"```bash\nlitzoo (predict .*)\n```", PAGE)
    monkeypatch.setattr("sys.argv", ["litzoo", *shlex.split(command)])
    main()
    (block,) = (each for each in BLOCKS if each.startswith(THRESHOLD))
    capsys.readouterr()
    names: dict = {}
    exec(block, names)
    sizes = json.loads(Path("runs/csv_classifier/version_0/splits.json").read_text())
    val = pd.read_csv("val_predictions.csv")
    assert val["churned"].value_counts()[["nein", "ja"]].tolist() == sizes["per_class"]["val"]
    caught = val["probability/ja"][val["churned"] == "ja"] >= names["threshold"] - 1e-6
    assert 0.9 <= caught.mean() < 0.9 + 2 / len(caught)
    predicted, flagged = pd.read_csv("predictions.csv"), pd.read_csv("flagged.csv")
    assert len(flagged) == (predicted["probability/ja"] >= names["threshold"]).sum() > 0
    logged = json.loads(Path("runs/csv_classifier/version_0/metrics.json").read_text())
    scores = roc_auc_score(val["churned"] == "ja", val["probability/ja"])
    assert scores == pytest.approx(logged["val/auroc"], abs=1e-3)
    assert f"{len(flagged)} of 200 rows are flagged" in capsys.readouterr().out
