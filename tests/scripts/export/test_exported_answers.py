"""An exported file answers as the predictor does: every score, every classifier, prediction sets, and a table."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from litzoo import Predictor, Regressor
from litzoo.callbacks import ConformalIntervals, ConformalSets, ResidualDifficulty, unknown
from litzoo.callbacks.unknown import UnknownDetection
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules.tables.reading import TableReading
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
from tests.scripts.export.exported import SHAPE, answers, predictor_of, require_format

SCORES = [name for name in unknown.scores.__all__ if name not in ("Evidence", "UnknownScore")]


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
def test_temperature_bias_and_prediction_sets_are_exported(method, per_class, form):
    torch.manual_seed(0)
    module = CNNClassifier(SHAPE, 5, widths=[4, 8], calibrate="temperature_and_bias").eval()
    module.temperature.fill_(0.05)
    module.class_bias.copy_(torch.tensor([0.5, -0.5, 0.2, 0.0, -0.2]))
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
        assert metadata["class_bias"] == pytest.approx([0.5, -0.5, 0.2, 0.0, -0.2])
        assert metadata["conformal"] == {"coverage": 0.7, "method": method, "per_class": per_class}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_a_regressor_is_exported_with_the_vocabulary_of_its_table(form, normalized):
    require_format(form)
    frame = pd.DataFrame(
        {
            "rooms": [3.0, None, 5.0, 1e6, 7.0] * 4,
            "built": ["2001-02-03", "1999-12-31", None, "2020-06-01", "2010-10-10"] * 4,
            "place": ["town", "sea", None, "town", "hill"] * 4,
        }
    )
    reading = TableReading.fit(frame, target="price")
    torch.manual_seed(0)
    module = Regressor((reading.num_features,), 200.0, 30.0)
    intervals = ConformalIntervals(0.9)
    features = None
    if normalized:
        features = module.net.features(reading.tensor(frame, "")).detach()
        intervals = ConformalIntervals(0.9, ResidualDifficulty().fit(features, features[:, 0] + 0.1))
    intervals.fit(torch.zeros(20), torch.arange(20.0), features)
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
    torch.testing.assert_close(upper, expected.upper, atol=1e-3, rtol=1e-5)
    if normalized:
        assert len(set((upper - value).tolist())) == 3
    else:
        torch.testing.assert_close(upper, value + 18, atol=1e-3, rtol=1e-5)
