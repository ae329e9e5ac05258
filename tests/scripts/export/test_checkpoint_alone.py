"""A checkpoint alone in an empty folder: new processes without the data predict, export, and run the export."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo import CSVRegressionDataModule, Regressor
from tests.scripts.helpers import litzoo_anew
from tests.scripts.trained_digits import images_of_test
from tests.training import cpu_trainer

pytestmark = pytest.mark.slow
RUN_IMAGES = """
import json, sys
sys.modules["litzoo"] = sys.modules["torch"] = None
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession("best.onnx")
names = json.loads(session.get_modelmeta().custom_metadata_map["litzoo"])["class_names"]
for row in range(12):
    pixels = np.array(Image.open(f"new/{row:02}.png"))[None, None]
    answer = dict(zip((each.name for each in session.get_outputs()), session.run(None, {"images": pixels})))
    print("unknown" if answer["unknown"][0] else names[answer["class_index"][0]], answer["probabilities"].max())
"""
RUN_TABLE = """
import json, sys
sys.modules["litzoo"] = sys.modules["torch"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("best.onnx")
table = json.loads(session.get_modelmeta().custom_metadata_map["litzoo"])["table"]
print(json.dumps({name: table[name] for name in ("numbers", "codes")}))
inputs = {"numbers": np.array([[1.0], [2.5]]), "codes": np.array([[0], [1]])}
print(*session.run(None, inputs)[0].tolist())
"""


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Moves a checkpoint into an empty folder, and the working folder with it."""

    def move(checkpoint):
        folder = tmp_path / "alone"
        folder.mkdir()
        shutil.copy(checkpoint, folder / "best.ckpt")
        monkeypatch.chdir(folder)

    return move


def python(*words):
    environment = {name: value for name, value in os.environ.items() if name != "LITZOO_DATA_DIR"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def predict_and_export(inputs):
    for words in (["predict", "--input", inputs], ["export", "--format", "onnx"]):
        status, printed = litzoo_anew(*words, "--ckpt_path", "best.ckpt")
        assert status == 0, printed


def rows():
    with Path("predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_of_images(best_ckpt, alone):
    pytest.importorskip("onnxruntime")
    alone(best_ckpt)
    Path("new").mkdir()
    for row, image in enumerate(images_of_test()[:12]):
        Image.fromarray(image[0].numpy()).save(f"new/{row:02}.png")
    predict_and_export("new")
    found = [line.split() for line in python("-c", RUN_IMAGES)]
    assert [name for name, _ in found] == [row["class_name"] for row in rows()]
    np.testing.assert_allclose(
        [float(value) for _, value in found], [float(row["confidence"]) for row in rows()], atol=1e-5
    )


def test_of_a_table(alone):
    pytest.importorskip("onnxruntime")
    Path("rooms.csv").write_text(
        "rooms,place,price\n"
        + "".join(f"{n % 7 + n / 1000},{('sea', 'town')[n % 2]},{n % 7 * 10}\n" for n in range(80))
    )
    data = CSVRegressionDataModule(file="rooms.csv", target="price", root=".", test_size=0.2)
    torch.manual_seed(0)
    module = Regressor(data.input_shape, data.target_mean, data.target_std)
    trainer = cpu_trainer(max_epochs=2)
    trainer.fit(module, data)
    trainer.save_checkpoint("best.ckpt")
    Path("rooms.csv").unlink()
    alone("best.ckpt")
    Path("new.csv").write_text("place,rooms\nsea,1\ntown,2.5\n")
    predict_and_export("new.csv")
    assert [(row["place"], row["rooms"]) for row in rows()] == [("sea", "1"), ("town", "2.5")]
    table, found = python("-c", RUN_TABLE)
    assert json.loads(table) == {"numbers": ["rooms"], "codes": {"place": ["sea", "town"]}}
    np.testing.assert_allclose(list(map(float, found.split())), [float(row["prediction"]) for row in rows()], rtol=1e-4)
