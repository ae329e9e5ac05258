import csv
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import litzoo
from litzoo import Predictor
from litzoo.callbacks import NearestNeighbors, PredictionsCSV, UnknownClassDetector
from litzoo.lit_modules import CNNClassifier
from tests.scripts.trained_digits import digits, images_of_test
from tests.training import cpu_trainer


@pytest.fixture
def tested(best_ckpt):
    """What Lightning's trainer predicts for the test set with the same checkpoint."""
    model = CNNClassifier.load_from_checkpoint(best_ckpt)
    detector = UnknownClassDetector(NearestNeighbors(5), count=1)
    trainer = cpu_trainer(callbacks=[detector, PredictionsCSV()])
    batches = trainer.predict(model, digits(), ckpt_path=best_ckpt)
    names = ("prediction", "confidence", "unknown_score", "logits")
    return {name: torch.cat([batch[name] for batch in batches]) for name in names}


def test_numbers_are_those_of_the_trainer_to_the_bit(best_ckpt, tested):
    found = Predictor.load(best_ckpt, device="cpu", batch_size=100)(images_of_test())
    assert torch.equal(found.prediction, tested["prediction"])
    assert torch.equal(found.confidence, tested["confidence"])
    assert torch.equal(found.unknown_score, tested["unknown_score"])
    assert torch.equal(found.probabilities, tested["logits"].softmax(dim=1))
    assert torch.equal(found.unknown, tested["prediction"] == -1)
    assert 0 < int(found.unknown.sum()) < len(found)
    assert found.threshold == pytest.approx(float(tested["unknown_score"][~found.unknown].max()), abs=0.1)
    labels = [*map(str, range(1, 8)), "unknown"]
    assert found.names == [labels[label] for label in tested["prediction"].tolist()]
    with Path("run/predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = found.columns()
    for name in ("prediction", "confidence", "unknown_score", "class_name"):
        assert [row[name] for row in rows] == list(map(str, columns[name]))


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_numbers_are_those_of_the_trainer_in_each_precision(best_ckpt, precision):
    model = CNNClassifier.load_from_checkpoint(best_ckpt)
    batches = cpu_trainer(precision=precision).predict(model, digits())
    found = Predictor.load(best_ckpt, device="cpu", batch_size=100, precision=precision)(images_of_test())
    assert torch.equal(found.confidence, torch.cat([batch["confidence"] for batch in batches]))


def test_files_images_arrays_and_tensors_are_the_same(best_ckpt):
    images = images_of_test()[:6]
    Path("new/within").mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(f"new/within/{number}.png")
    predictor = Predictor.load(best_ckpt, device="cpu")
    expected = predictor(images)
    files = predictor("new")
    assert files.files == [f"new/within/{number}.png" for number in range(6)]
    arrays = images[:, 0].numpy()
    kinds = [
        files,
        predictor([Path("new/within", f"{number}.png") for number in range(6)]),
        predictor([Image.fromarray(each) for each in arrays]),
        predictor(arrays),
        predictor(list(arrays)),
        predictor(arrays[..., None].repeat(3, axis=3)),
        predictor(list(images)),
    ]
    for found in kinds:
        assert torch.equal(found.unknown_score, expected.unknown_score)
        assert torch.equal(found.probabilities, expected.probabilities)
    for single in (images[0], arrays[0], Image.fromarray(arrays[0]), "new/within/0.png"):
        (score,) = predictor(single).unknown_score
        assert float(score) == pytest.approx(float(expected.unknown_score[0]), abs=1e-5)


def test_data_sets_pairs_dictionaries_and_floats_are_read_as_in_training(best_ckpt):
    images = images_of_test()[:6]
    floats = images.float() / 255  # as torchvision's ToTensor makes them
    predictor = Predictor.load(best_ckpt, device="cpu")
    expected = predictor(images).probabilities
    kinds = [
        torch.utils.data.TensorDataset(floats, torch.zeros(6)),
        torch.utils.data.TensorDataset(images),
        [(Image.fromarray(each[0].numpy()), 0) for each in images],
        [{"image": each, "label": 0} for each in floats],
        floats,
        list(floats),
    ]
    for inputs in kinds:
        assert torch.equal(predictor(inputs).probabilities, expected)


def test_images_of_another_size_are_resized_as_in_training(best_ckpt):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8))
    image.save("large.png")
    predictor = Predictor.load(best_ckpt, device="cpu")
    by_hand = image.convert("L").resize((28, 28), Image.Resampling.BILINEAR, box=(0, 15, 60, 75))
    expected = predictor(torch.from_numpy(np.array(by_hand))[None, None])
    assert torch.equal(predictor("large.png").probabilities, expected.probabilities)
    assert torch.equal(predictor(image).probabilities, expected.probabilities)


def test_unreadable_files_are_refused_or_listed(best_ckpt):
    Path("new").mkdir()
    Image.new("L", (30, 30)).save("new/b.png")
    Path("new/a.png").write_bytes(b"no image")
    predictor = Predictor.load(best_ckpt)
    with pytest.raises(ValueError, match=r"new/a\.png cannot be read as an image"):
        predictor("new")
    found = predictor("new", unreadable="skip")
    assert (found.files, len(found)) == (["new/b.png"], 1)
    assert "a.png" in found.unreadable[0]
    Path("new/b.png").unlink()
    with pytest.raises(ValueError, match=r"none of 1 files can be read: new/a\.png"):
        predictor("new", unreadable="skip")


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (3, TypeError, "int is neither a path nor an image"),
        ([], ValueError, "there is no sample"),
        (
            torch.full((2, 1, 28, 28), -1.5),
            TypeError,
            r"a tensor float32 \[1, 28, 28\] with values from -1\.5 to -1\.5: sc",
        ),
        (np.zeros((3, 5, 5, 2), np.uint8), TypeError, r"got an array uint8 \[5, 5, 2\]$"),
        ([({"a": 1}, 0)], TypeError, "got a dict$"),
        ([{"picture": 1}], ValueError, r"inputs\[0\] has no input, of picture"),
        ({"image": 1}, TypeError, "dict is neither a path nor an image"),
        ("none", FileNotFoundError, "none: there is no such file or folder"),
        (["a.png", Image.new("L", (5, 5))], TypeError, "mixed"),
        ([Image.new("F", (5, 5), 1e6)], ValueError, r"data\.value_range"),
    ],
)
def test_inputs_of_another_kind_are_refused(best_ckpt, inputs, error, message):
    with pytest.raises(error, match=message):
        Predictor.load(best_ckpt, device="cpu")(inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: 0 is too small"),
        ({"precision": "8-bit"}, "precision: '8-bit' is not one of 32-true, bf16-mixed, 16-mixed"),
        ({"device": "abacus"}, "device: 'abacus' cannot be used here"),
    ],
)
def test_options_out_of_range_are_refused(best_ckpt, options, message):
    with pytest.raises(ValueError, match=message):
        Predictor.load(best_ckpt, **options)


def predict_in(folder, found):
    os.chdir(folder)
    found.send(litzoo.Predictor.load("best.ckpt", device="cpu")("new").names)


def test_a_checkpoint_alone_predicts_in_a_new_process(best_ckpt):
    Path("alone").mkdir()
    Path("alone/best.ckpt").write_bytes(best_ckpt.read_bytes())
    Path("alone/new").mkdir()
    images = images_of_test()[:3]
    for number, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(f"alone/new/{number}.png")
    processes = multiprocessing.get_context("forkserver")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=predict_in, args=("alone", theirs))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert ours.recv() == Predictor.load(best_ckpt, device="cpu")(images).names


def test_the_predictor_is_public():
    assert litzoo.Predictor is Predictor
    assert "Predictor" in dir(litzoo)
