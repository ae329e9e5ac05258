"""The command `litzoo export`: a file that runs without litzoo, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo import Predictor
from litzoo.__main__ import main
from litzoo.lit_modules import CNNClassifier, SoftmaxRegression
from litzoo.scripts.export.files import METADATA, export
from tests.scripts.export.exported import SHAPE, predictor_of, require_format
from tests.scripts.helpers import lines_of_error
from tests.scripts.trained_digits import images_of_test

# Runs without litzoo: an import of it would fail.
RUN_TORCH = """
import json, sys
sys.modules["litzoo"] = None
import numpy as np, torch
files = {"metadata.json": ""}
program = torch.export.load("best.pt2", extra_files=files).module()
for name in ("network", "raw"):
    outputs = program(torch.from_numpy(np.load(f"{name}.npy")))
    np.savez(f"{name}_answers.npz", **{key: value.numpy() for key, value in outputs.items()})
print(files["metadata.json"])
"""
RUN_ONNX = """
import sys
sys.modules["litzoo"] = sys.modules["torch"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("best.onnx")
for name in ("network", "raw"):
    outputs = session.run(None, {"images": np.load(f"{name}.npy")})
    np.savez(f"{name}_answers.npz", **{each.name: value for each, value in zip(session.get_outputs(), outputs)})
print(session.get_modelmeta().custom_metadata_map["litzoo"])
"""


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["litzoo", "export", *map(str, words)])
    main()


@pytest.mark.slow
@pytest.mark.parametrize(("form", "suffix", "program"), [("torch", ".pt2", RUN_TORCH), ("onnx", ".onnx", RUN_ONNX)])
def test_a_checkpoint_alone_is_exported_and_runs_without_litzoo(best_ckpt, form, suffix, program, monkeypatch, capsys):
    require_format(form)
    Path("alone").mkdir()
    Path("alone/best.ckpt").write_bytes(best_ckpt.read_bytes())
    monkeypatch.chdir("alone")
    run(monkeypatch, "--ckpt_path", "best.ckpt", "--format", form)
    assert f"best{suffix}: " in capsys.readouterr().out
    Path("best.ckpt").unlink()
    digits = images_of_test()
    noise = torch.randint(256, (1000 - len(digits), 1, 28, 28), dtype=torch.uint8)
    images = {"network": torch.cat([digits, noise]), "raw": larger(digits, 45, 60)}
    for name, each in images.items():
        np.save(f"{name}.npy", each.numpy())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    metadata = json.loads(done.stdout.splitlines()[-1])
    predictor = Predictor.load(best_ckpt, device="cpu")
    assert metadata["class_names"] == list("1234567")
    assert metadata["unknown"] == {
        "score": "NearestNeighbors",
        "threshold": predictor.threshold,
        "acceptance": 0.95,
    }
    assert metadata["images"]["network_size"] == [28, 28]

    for name, each in images.items():
        found, expected = np.load(f"{name}_answers.npz"), predictor(each)
        ties = (expected.unknown_score - predictor.threshold).abs().numpy() < 1e-5
        wrong = (found["unknown"] != expected.unknown.numpy()) & ~ties
        named = np.where(found["unknown"], -1, found["class_index"])
        wrong |= (named != expected.prediction.numpy()) & ~ties
        if name == "network":
            assert np.abs(found["probabilities"] - expected.probabilities.numpy()).max() < 1e-5
            assert np.abs(found["unknown_score"] - expected.unknown_score.numpy()).max() < 1e-5
            assert not wrong.any()
        else:
            assert wrong.mean() <= 0.005  # of 359; the resampling differs from Pillow's by ties


def larger(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(images.float(), (height, width), mode="bicubic").clamp(0, 255).byte()


class NotExportable(CNNClassifier):
    def predict_step(self, batch, batch_idx):
        if float(batch["input"].sum()) > 0:
            raise RuntimeError("bright")
        return super().predict_step(batch, batch_idx)


def test_a_module_that_a_format_cannot_hold_is_refused_by_name():
    module = NotExportable(SHAPE, 5, widths=[4])
    with pytest.raises(ValueError, match=r"--format torch: a NotExportable cannot be exported \("):
        export(predictor_of(module), Path("a.pt2"), "torch")
    assert not list(Path().iterdir())


def test_exporting_leaves_the_predictor_as_it_was():
    module = SoftmaxRegression(SHAPE, 5)
    predictor = predictor_of(module)
    export(predictor, Path("a.pt2"), "torch")
    assert all(weight.requires_grad for weight in module.parameters())
    files = {METADATA: ""}
    torch.export.load("a.pt2", extra_files=files)
    assert json.loads(files[METADATA])["class_names"] == list("01234")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "onnx", "--output", "a.pt2"], "--output a.pt2: a file of --format onnx ends with .onnx"),
        (["--format", "torch", "--output", "there.pt2"], "--output there.pt2: is there already"),
        (["--format", "torch", "--ckpt_path", "none.ckpt"], "--ckpt_path none.ckpt: there is no such file"),
        (["--format", "torch", "--ckpt_path", "."], "--ckpt_path .: is a folder without a checkpoint"),
    ],
)
def test_bad_input_is_refused(best_ckpt, words, message, capsys, monkeypatch):
    Path("there.pt2").write_text("mine")
    lines = lines_of_error(main, ["export", "--ckpt_path", str(best_ckpt), *words], capsys, monkeypatch)
    assert message in lines[0]
    assert [path.name for path in Path().iterdir()] == ["there.pt2"]


def test_missing_packages_are_named_all_at_once(best_ckpt, capsys, monkeypatch):
    monkeypatch.setattr("litzoo.scripts.export.files.find_spec", lambda name: None)
    words = ["export", "--ckpt_path", str(best_ckpt), "--format", "onnx"]
    lines = lines_of_error(main, words, capsys, monkeypatch)
    assert "needs onnx and onnxscript: `pip install 'litzoo[onnx]'`, or use --format torch" in lines[0]
