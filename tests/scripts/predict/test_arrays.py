"""A checkpoint of `from_datasets` predicts arrays, with the network that the user passes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from litzoo import Classifier, MLPClassifier, Predictor, from_datasets
from litzoo.callbacks import MaxLogit, PredictionSets, TemperatureScaling, UnknownClassDetector
from litzoo.scripts.export.files import export
from litzoo.scripts.predict.command import predict
from tests.datamodules.own_datasets import Vectors
from tests.training import cpu_trainer

NAMES = ["ash", "elm", "oak"]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def trained(*callbacks, model=None, **options):
    """Trains on vectors and saves `best.ckpt`; returns trainer, module and datamodule."""
    data = from_datasets(Vectors(), test=Vectors(60, seed=1), val_size=60, class_names=NAMES)
    model = model or Classifier(network(), 3, class_names=NAMES, **options)
    trainer = cpu_trainer(max_epochs=3, callbacks=list(callbacks))
    trainer.fit(model, data)
    trainer.save_checkpoint("best.ckpt")
    return trainer, model, data


@pytest.fixture
def everything():
    return trained(TemperatureScaling(), UnknownClassDetector(MaxLogit()), PredictionSets(0.9), calibrate="temperature")


def test_predictions_are_those_of_the_trainer(everything):
    trainer, model, data = everything
    (expected,) = trainer.predict(model, data)
    predictor = Predictor.load("best.ckpt", net=network(), device="cpu")
    found = predictor(Vectors(60, seed=1).x)
    assert float(predictor.module.temperature) == float(model.temperature) != 1
    assert torch.equal(found.probabilities, expected["logits"].softmax(dim=1))
    assert torch.equal(found.prediction, expected["prediction"])
    assert torch.equal(found.unknown_score, expected["unknown_score"])
    assert torch.equal(found.prediction_set, expected["prediction_set"])
    assert (expected["prediction"] == -1).any()
    assert found.names == [{-1: "unknown", **dict(enumerate(NAMES))}[each] for each in found.prediction.tolist()]


def test_arrays_of_every_kind_are_the_same():
    trained()
    predictor = Predictor.load("best.ckpt", net=network(), device="cpu")
    vectors = Vectors(60, seed=1)
    expected = predictor(vectors.x).probabilities
    kinds = [
        vectors,
        list(vectors),
        [{"x": x, "y": 0} for x in vectors.x],
        list(vectors.x),
        vectors.x.tolist(),
        vectors.x.numpy(),
        vectors.x.double().numpy(),
        list(vectors.x.numpy()),
        pd.DataFrame(vectors.x.numpy()),
        pd.DataFrame(vectors.x.numpy()).astype("Float32"),
        list(map(tuple, vectors.x.tolist())),
        np.ma.masked_array(vectors.x.numpy(), mask=False),
    ]
    for inputs in kinds:
        assert torch.equal(predictor(inputs).probabilities, expected)
    for single in (vectors.x[7], vectors.x[7].numpy(), vectors.x[7].tolist()):
        assert torch.allclose(predictor(single).probabilities, expected[7:8], atol=1e-6)


def test_a_module_of_litzoo_needs_nothing_but_the_checkpoint():
    _, model, _ = trained(model=MLPClassifier((8,), 3, class_names=NAMES, hidden=[16]))
    inputs = Vectors(60, seed=1).x
    with torch.no_grad():
        expected = model.eval()(inputs).softmax(dim=1)
    assert torch.equal(Predictor.load("best.ckpt", device="cpu")(inputs).probabilities, expected)
    with pytest.raises(ValueError, match="net: a MLPClassifier creates its own network"):
        Predictor.load("best.ckpt", net=network())


def test_a_module_created_by_hand_gets_the_class_names_of_the_checkpoint():
    trained(posthoc_tau=1.0)
    with pytest.warns(UserWarning, match=r"was trained with posthoc_tau 1\.0, but the module has 0\.0"):
        predictor = Predictor.load("best.ckpt", module=Classifier(network(), 3))
    assert predictor.class_names == NAMES
    own = Predictor.load("best.ckpt", module=Classifier(network(), 3, class_names=["a", "b", "c"], posthoc_tau=1.0))
    assert own.class_names == ["a", "b", "c"]
    assert Predictor.load("best.ckpt", net=network()).module.posthoc_tau == 1
    with pytest.raises(ValueError, match="net: is part of the module that is passed"):
        Predictor.load("best.ckpt", module=Classifier(network(), 3), net=network())


def test_a_module_created_by_hand_without_the_calibration_is_refused():
    trained(TemperatureScaling(), calibrate="temperature")
    with pytest.raises(ValueError, match=r"temperature has the shape \[\] there, and is missing in the Classifier"):
        Predictor.load("best.ckpt", module=Classifier(network(), 3))


def test_a_checkpoint_does_not_hold_a_network_of_ones_own():
    trained()
    with pytest.raises(ValueError, match=r"does not hold the network of its Classifier.*net=net"):
        Predictor.load("best.ckpt")
    with pytest.raises(ValueError, match="is of another module"):
        Predictor.load("best.ckpt", net=nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (torch.zeros(4, 7), ValueError, r"the shape \[4, 7\], but a sample of the training \[8\]: give \['N', 8\]"),
        (torch.zeros(0, 8), ValueError, "there is no sample"),
        ([], ValueError, "inputs: the data set is empty"),
        (np.full((2, 8), np.nan), ValueError, "not finite"),
        (3, TypeError, "int is no map-style data set"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), ValueError, "inputs: the column 'b' has the dtype (object|str)"),
        (pd.DataFrame({"a": [1, None]}, dtype="Int64"), ValueError, "not finite"),
        (torch.eye(8).to_sparse(), ValueError, r"inputs is sparse; make it dense with \.to_dense\(\)"),
        (torch.eye(8).to_sparse_csr(), ValueError, r"inputs is sparse; .*to_dense"),
        (csr_array(np.eye(8)), ValueError, r"inputs is sparse; make it dense with \.toarray\(\)"),
        (np.ma.masked_array(np.ones((2, 8)), mask=np.eye(2, 8)), ValueError, r"inputs has masked values; .*filled"),
        (np.ones((2, 8)) * 1j, ValueError, "inputs has complex numbers"),
        (torch.ones(2, 8) * 1j, ValueError, "inputs has complex numbers"),
    ],
)
def test_other_inputs_are_refused(inputs, error, message):
    trained()
    predictor = Predictor.load("best.ckpt", net=network())
    with pytest.raises(error, match=message):
        predictor(inputs)


def test_commands_take_files_only():
    trained(model=MLPClassifier((8,), 3, class_names=NAMES, hidden=[16]))
    Path("new.csv").write_text("a,b\n1,2\n")
    message = r"--ckpt_path best\.ckpt: was trained on arrays in memory"
    with pytest.raises(ValueError, match=message):
        predict(["--ckpt_path", "best.ckpt", "--input", "new.csv"])
    assert not Path("predictions.csv").exists()
    with pytest.raises(ValueError, match=r"a MLPClassifier cannot be exported: .*trained on arrays"):
        export(Predictor.load("best.ckpt"), Path("model.pt2"), "torch")


def test_a_training_with_plain_loaders_has_no_preprocessing():
    rows = from_datasets(Vectors())
    rows.setup("fit")
    model = Classifier(network(), 3)
    trainer = cpu_trainer()
    trainer.fit(model, rows.train_dataloader())
    trainer.save_checkpoint("plain.ckpt")
    with pytest.raises(ValueError, match="in Python load the module"):
        Predictor.load("plain.ckpt", net=network())
