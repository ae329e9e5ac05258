import csv
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import MaxLogit, MaxSoftmax, NearestNeighbors, PredictionsCSV, UnknownClassDetector
from litzoo.datamodules import UNKNOWN
from tests.callbacks.open_set_digits import BEST, conformal, digits, evidence, fit, module_in, state_in
from tests.training import cpu_trainer

DETECTORS = {
    "largest logit": lambda: UnknownClassDetector(MaxLogit()),
    "fixed": lambda: UnknownClassDetector(MaxSoftmax(), threshold=0.75),
    "neighbours": lambda: UnknownClassDetector(NearestNeighbors(5), 0.8, report=[MaxLogit()]),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns the best checkpoint of a training with each detector."""
    folder = tmp_path_factory.mktemp("trained")
    for name, detector in DETECTORS.items():
        fit(detector(), default_root_dir=folder / name)
    return {name: folder / name / "checkpoints" / "best.ckpt" for name in DETECTORS}


def predicted(name, path, **options):
    """Returns the predictions of a checkpoint by column, and the rows of the CSV file."""
    trainer = cpu_trainer(callbacks=[DETECTORS[name](), PredictionsCSV()], **options)
    batches = trainer.predict(module_in(path), digits(), ckpt_path=path)
    with Path("run/predictions.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {column: torch.cat([batch[column] for batch in batches]) for column in batches[0]}, rows


def by_hand(name, path):
    """Returns the scores of the test samples, the threshold, and the logits of the test samples."""
    model, datamodule, detection = module_in(path), digits(), DETECTORS[name]().detection
    if detection.fits:
        detection.score.fit(*evidence(model, datamodule, "train"), model.net.head)
    known = evidence(model, datamodule, "test")[0]
    threshold = detection.fixed_threshold or conformal(
        detection.score(evidence(model, datamodule, "val")[0]), detection.acceptance
    )
    return detection.score(known), threshold, known.logits


@pytest.mark.parametrize("name", DETECTORS)
def test_a_score_above_the_threshold_is_predicted_as_unknown(name, trained):
    found, _ = predicted(name, trained[name])
    scores, threshold, logits = by_hand(name, trained[name])
    torch.testing.assert_close(found["unknown_score"], scores.float(), rtol=1e-4, atol=1e-5)
    unknown = scores > threshold
    assert 0 < unknown.sum() < len(unknown)
    assert torch.equal(found["prediction"] == UNKNOWN, unknown)
    assert torch.equal(found["prediction"][~unknown], logits.argmax(dim=1)[~unknown])
    torch.testing.assert_close(found["confidence"], logits.softmax(dim=1).max(dim=1).values)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_file_has_the_class_unknown_and_the_score(name, trained):
    _, rows = predicted(name, trained[name])
    scores, threshold, logits = by_hand(name, trained[name])
    assert list(rows[0]) == ["index", "prediction", "confidence", "unknown_score", "class_name"]
    assert [int(row["index"]) for row in rows] == list(range(359))
    assert [float(row["unknown_score"]) for row in rows] == pytest.approx(scores.tolist(), rel=1e-4, abs=1e-5)
    labels = logits.argmax(dim=1).masked_fill(scores > threshold, UNKNOWN).tolist()
    names = [str(label + 1) if label >= 0 else "unknown" for label in labels]
    assert [row["class_name"] for row in rows] == names
    assert [int(row["prediction"]) for row in rows] == labels
    assert len(set(names)) > 3


def test_without_a_detector_the_file_has_no_unknown_score(trained):
    trainer = cpu_trainer(callbacks=[PredictionsCSV()])
    trainer.predict(module_in(trained["fixed"]), digits())
    assert Path("run/predictions.csv").read_text().splitlines()[0] == "index,prediction,confidence,class_name"


def test_another_acceptance_gives_another_threshold_without_fitting(trained):
    fractions = []
    for acceptance in (0.99, 0.8, 0.5):
        detector = UnknownClassDetector(MaxLogit(), acceptance)
        trainer, path = cpu_trainer(callbacks=[detector]), trained["largest logit"]
        if acceptance == 0.99:  # 80 validation samples are too few
            with pytest.raises(ValueError, match=r"0\.99 cannot be guaranteed with 80 .* needs 99"):
                trainer.predict(module_in(path), digits(), ckpt_path=path)
            continue
        batches = trainer.predict(module_in(path), digits(), ckpt_path=path)
        prediction = torch.cat([batch["prediction"] for batch in batches])
        known = evidence(module_in(path), digits(), "val")[0]
        scores, new = MaxLogit()(evidence(module_in(path), digits(), "test")[0]), prediction == UNKNOWN
        assert torch.equal(new, scores > conformal(MaxLogit()(known), acceptance))
        fractions.append(new.double().mean().item())
    assert fractions[0] < fractions[1]


def test_a_second_prediction_is_the_same(trained):
    first, rows = predicted("neighbours", trained["neighbours"])
    second, again = predicted("neighbours", trained["neighbours"])
    assert all(torch.equal(values, second[name]) for name, values in first.items())
    assert rows == again


def test_the_threshold_is_that_of_the_checkpoint_after_a_test_of_another(trained):
    fit(UnknownClassDetector(MaxLogit()))
    detector = UnknownClassDetector(MaxLogit(), count=1)
    trainer, datamodule = cpu_trainer(callbacks=[detector]), digits()
    trainer.test(module_in(BEST), datamodule, ckpt_path=BEST, verbose=False)
    path = trained["largest logit"].with_name("last.ckpt")
    trainer.predict(module_in(path), datamodule, ckpt_path=path)
    expected = conformal(MaxLogit()(evidence(module_in(path), digits(), "val")[0]))
    assert detector.detection.threshold == pytest.approx(expected)


def test_a_sample_with_a_nan_score_is_unknown(trained):
    model = module_in(trained["largest logit"])
    outputs = {"logits": torch.full((2, 7), torch.nan), "prediction": torch.tensor([3, 4])}
    detector = DETECTORS["largest logit"]()
    detector.load_state_dict(state_in(trained["largest logit"]))
    detector.on_predict_batch_end(cpu_trainer(), model, outputs, None, 0)
    assert outputs["prediction"].tolist() == [UNKNOWN, UNKNOWN]
