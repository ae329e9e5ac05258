import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from litzoo import Predictor, Regressor
from litzoo.datamodules.tables import TableReading
from litzoo.scripts.export.files import export

PAGE = Path(__file__).parents[3] / "docs" / "deploy.md"


def documented():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (block,) = (each for each in blocks if "table.onnx" in each)
    assert "from litzoo" not in block
    return block


@pytest.mark.parametrize("columns", [["rooms", "built", "seen", "garden", "place"], ["rooms", "seen"], ["place"]])
def test_the_documented_program_without_litzoo_gives_the_predictions(columns):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    random = np.random.default_rng(0)
    days = pd.date_range("1950-03-01", periods=60, freq="397D")
    frame = pd.DataFrame(
        {
            "rooms": random.integers(1, 9, 60).astype(str),
            "built": days.strftime("%d.%m.%Y"),
            "seen": (days + pd.to_timedelta(np.arange(60), "h")).strftime("%Y-%m-%dT%H:%M:%S"),
            "garden": random.choice(["yes", "no"], 60),
            "place": random.choice(["town", "sea", "NA"], 60),
        }
    )[columns]
    for name in columns:
        frame.loc[random.integers(0, 60, 6), name] = "NA"
    frame.to_csv("new_rows.csv", index=False)
    table = frame.mask(frame == "NA", None)
    reading = TableReading.fit(table, date_formats={"built": "%d.%m.%Y"}, target="price")
    torch.manual_seed(0)
    predictor = Predictor(Regressor((reading.num_features,), 200.0, 30.0), reading, device="cpu")
    export(predictor, Path("table.onnx"), "onnx")
    names: dict = {}
    exec(documented(), names)
    expected = predictor("new_rows.csv").prediction
    torch.testing.assert_close(torch.from_numpy(names["answer"]["value"]), expected, atol=1e-3, rtol=1e-5)
