"""The code of docs/python.md, as printed."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy.stats import beta
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from litzoo import Predictor
from tests.scripts.helpers import CONFIGS, QUIET

PAGE = (CONFIGS.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.search(r"```bash\nlitzoo (.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", "")


OWN_CODE = "# my_code.py\n"


def test_a_model_is_trained_loaded_and_used(capsys):
    Path("page.py").write_text("\n".join(block for block in BLOCKS if not block.startswith(OWN_CODE)))
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
