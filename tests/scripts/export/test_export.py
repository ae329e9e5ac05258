import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo import Predictor, Regressor
from litzoo.__main__ import main
from litzoo.callbacks import ConformalIntervals, ConformalSets, unknown
from litzoo.callbacks.unknown import UnknownDetection
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.io.images import ImageReader
from litzoo.lit_modules import (
    CNNClassifier,
    CoTeachingClassifier,
    MLPClassifier,
    ResNetClassifier,
    SoftmaxRegression,
    TransferClassifier,
    WhitenedCNNClassifier,
)
from litzoo.scripts.export.files import METADATA, export
from tests.scripts.helpers import lines_of_error
from tests.scripts.trained_digits import images_of_test

SHAPE = (3, 32, 32)
SCORES = [name for name in unknown.scores.__all__ if name not in ("Evidence", "UnknownScore")]

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


def require_format(form):
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")


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


def predictor_of(module, detection=None):
    preparation = ImagePreparation(ImageReader(SHAPE, resize=True), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    return Predictor(module, preparation, detection, device="cpu")


def answers(predictor, form, images):
    """Exports a predictor, runs the file on images, and returns its outputs."""
    require_format(form)
    if form == "torch":
        export(predictor, Path("a.pt2"), "torch")
        return torch.export.load("a.pt2").module()(images)
    import onnxruntime

    export(predictor, Path("a.onnx"), "onnx")
    session = onnxruntime.InferenceSession("a.onnx")
    outputs = session.run(None, {"images": images.numpy()})
    return {
        each.name: torch.from_numpy(np.asarray(value))
        for each, value in zip(session.get_outputs(), outputs, strict=True)
    }


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", "onnx"])
@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_exported(name, form):
    torch.manual_seed(0)
    module = CNNClassifier(SHAPE, 5, widths=[4, 8], average_pool=True).eval()
    images = torch.randint(256, (300, *SHAPE), dtype=torch.uint8)
    with torch.no_grad():
        features = module.net.features(predictor_of(module).preparation.as_input(images))
        logits = module.net.head(features)
    target = torch.arange(300) % 5
    boosted = logits.clone()
    boosted[torch.arange(300), target] += 5  # as of a trained module: right for all
    detection = UnknownDetection(getattr(unknown.scores, name)())
    detection.fit(Evidence(boosted, features), target, module.net.head)
    detection.calibrate(Evidence(logits[::2], features[::2]))
    predictor = predictor_of(module, detection)
    found, expected = answers(predictor, form, images), predictor(images)
    torch.testing.assert_close(found["probabilities"], expected.probabilities, atol=1e-5, rtol=0)
    torch.testing.assert_close(found["unknown_score"], expected.unknown_score, atol=1e-5, rtol=1e-5)
    sure = (expected.unknown_score - predictor.threshold).abs() > 1e-5 * (1 + abs(predictor.threshold))
    assert torch.equal(found["unknown"][sure], expected.unknown[sure])
    assert 0 < int(expected.unknown.sum()) < 300


MODULES = {
    "softmax": lambda: SoftmaxRegression(SHAPE, 5),
    "mirrored": lambda: MLPClassifier(SHAPE, 5, hidden=[8], tta="flip"),
    "resnet": lambda: ResNetClassifier(SHAPE, 5, channels_last=True),
    "whitened": lambda: WhitenedCNNClassifier(SHAPE, 5, widths=[8, 8, 8]),
    "two networks": lambda: CoTeachingClassifier(SHAPE, 5, forget_rate=0.2, widths=[4]),
    "resized for its network": lambda: TransferClassifier(SHAPE, 5, network="squeezenet1_1", size=64),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", "onnx"])
@pytest.mark.parametrize("name", MODULES)
def test_every_classifier_is_exported(name, form):
    torch.manual_seed(0)
    predictor = predictor_of(MODULES[name]().eval())
    images = torch.randint(256, (7, *SHAPE), dtype=torch.uint8)
    found, expected = answers(predictor, form, images), predictor(images)
    torch.testing.assert_close(found["probabilities"], expected.probabilities, atol=1e-5, rtol=0)
    assert found["class_index"].tolist() == expected.prediction.tolist()
    assert set(found) == {"probabilities", "class_index"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", "onnx"])
@pytest.mark.parametrize(("method", "per_class"), [("lac", False), ("aps", False), ("aps", True)])
def test_a_temperature_and_prediction_sets_are_exported(method, per_class, form):
    torch.manual_seed(0)
    module = CNNClassifier(SHAPE, 5, widths=[4, 8], calibrate="temperature").eval()
    module.temperature.fill_(0.05)
    images, target = torch.randint(256, (200, *SHAPE), dtype=torch.uint8), torch.arange(200) % 5
    predictor = predictor_of(module)
    with torch.no_grad():
        logits = module.features_and_logits(predictor.preparation.as_input(images), test_time=True)[1]
    predictor.conformal = ConformalSets(0.7, method, per_class, predictor.class_names).fit(logits, target)
    found, expected = answers(predictor, form, images), predictor(images)
    torch.testing.assert_close(expected.probabilities, logits.softmax(dim=1))
    torch.testing.assert_close(found["probabilities"], expected.probabilities, atol=1e-5, rtol=0)
    assert (found["prediction_set"] != expected.prediction_set).double().mean() < 0.01  # scores beside a threshold
    assert 1 < expected.prediction_set.sum(dim=1).double().mean() < 5
    if form == "torch":
        files = {METADATA: ""}
        torch.export.load("a.pt2", extra_files=files)
        metadata = json.loads(files[METADATA])
        assert metadata["temperature"] == pytest.approx(0.05)
        assert metadata["conformal"] == {"coverage": 0.7, "method": method, "per_class": per_class}


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
        (["--format", "torch", "--ckpt_path", "none.ckpt"], "checkpoint none.ckpt: there is no such file"),
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


@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_a_regressor_is_exported_with_the_vocabulary_of_its_table(form):
    require_format(form)
    import pandas as pd

    from litzoo.datamodules.tables.reading import TableReading

    frame = pd.DataFrame(
        {
            "rooms": [3.0, None, 5.0, 1e6, 7.0] * 4,
            "built": ["2001-02-03", "1999-12-31", None, "2020-06-01", "2010-10-10"] * 4,
            "place": ["town", "sea", None, "town", "hill"] * 4,
        }
    )
    reading = TableReading.fit(frame, target="price")
    torch.manual_seed(0)
    intervals = ConformalIntervals(0.9).fit(torch.zeros(20), torch.arange(20.0))
    module = Regressor((reading.num_features,), 200.0, 30.0)
    predictor = Predictor(module, reading, device="cpu", conformal=intervals)
    new = frame.iloc[[4, 1, 2]].assign(place=["moon", "sea", None])
    with pytest.warns(UserWarning, match="'moon'"):
        expected = predictor(new)
    assert expected.names == []
    numbers, codes = map(torch.from_numpy, reading.raw(new))
    assert codes[0].tolist() == [-1]
    path = Path(f"a{'.pt2' if form == 'torch' else '.onnx'}")
    metadata = export(predictor, path, form)
    assert metadata["table"]["codes"] == {"place": reading.categories[0]}
    assert metadata["target"] == "price"
    assert len(metadata["table"]["numbers"]) == numbers.shape[1]
    if form == "torch":
        value, lower, upper = torch.export.load("a.pt2").module()(numbers, codes).values()
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession("a.onnx")
        found = session.run(None, {"numbers": numbers.numpy(), "codes": codes.numpy()})
        value, lower, upper = map(torch.from_numpy, found)
    torch.testing.assert_close(value, expected.prediction, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(lower, expected.lower, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(upper, expected.prediction + 18, atol=1e-3, rtol=1e-5)
