import json
import platform
import sys
from datetime import date, timedelta
from pathlib import Path

import lightning
import pytest
import torch

from callbacks import RunRecord
from tests.callbacks.scripted import Scripted
from tests.training import cpu_trainer


@pytest.mark.parametrize(("seed", "expected"), [("7", 7), (None, None)])
def test_the_record_says_how_the_run_was_made(monkeypatch, seed, expected):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/litzoo", "fit", "--config", "a.yaml"])
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    if seed is not None:
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
    cpu_trainer(max_epochs=3, callbacks=[RunRecord()]).fit(Scripted())
    record = json.loads(Path("run/run.json").read_text())
    assert record.pop("training_seconds") >= 0
    assert abs(date.fromisoformat(record.pop("date")) - date.today()) <= timedelta(days=1)
    assert "cores" in record.pop("hardware")
    assert record == {
        "command": "litzoo fit --config a.yaml",
        "seed": expected,
        "epochs": 3,
        "precision": "32-true",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }


def test_a_test_alone_leaves_no_record():
    model = Scripted([1.0])
    cpu_trainer(callbacks=[RunRecord()]).validate(model, verbose=False)
    assert not Path("run/run.json").exists()
