import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.utils.data import DataLoader

from litzoo.datamodules import UNKNOWN, DigitsDataModule
from litzoo.datamodules.dataset import IndexedDataset, identity
from litzoo.lit_modules import Classifier, MLPClassifier, SoftmaxRegression
from tests.training import cpu_trainer


def loader(inputs, targets):
    return DataLoader(IndexedDataset(inputs, targets), batch_size=7, collate_fn=identity)


@pytest.mark.parametrize(("evaluate", "prefix"), [("validate", "val"), ("test", "test")])
def test_unknown_targets_are_ignored_in_evaluation(evaluate, prefix):
    model, inputs, targets = SoftmaxRegression((5,), 3), torch.randn(40, 5), torch.randint(3, (40,))
    hidden = torch.arange(40) % 4 == 0
    trainer = cpu_trainer()
    (scores,) = getattr(trainer, evaluate)(model, loader(inputs, targets.masked_fill(hidden, UNKNOWN)), verbose=False)
    (known,) = getattr(trainer, evaluate)(model, loader(inputs[~hidden], targets[~hidden]), verbose=False)
    probabilities = model(inputs[~hidden]).double().softmax(dim=1).detach()
    assert scores[f"{prefix}/loss"] == pytest.approx(log_loss(targets[~hidden], probabilities), rel=1e-5)
    assert scores[f"{prefix}/acc"] == pytest.approx(accuracy_score(targets[~hidden], probabilities.argmax(dim=1)))
    assert scores == pytest.approx(known)


def test_a_validation_set_of_one_sample_works():
    trainer, datamodule = cpu_trainer(), DigitsDataModule(train_size=20, val_size=1)
    model = SoftmaxRegression((1, 28, 28), 10)
    trainer.fit(model, datamodule)
    index = datamodule.val_set.indices
    logits = model(datamodule.normalise(datamodule.val_set.inputs[index]))
    expected = F.cross_entropy(logits, datamodule.val_set.targets[index])
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_test_reports_every_class_by_its_name():
    model = SoftmaxRegression((5,), 3, class_names=["cat", "dog", "owl/eagle"])
    (scores,) = cpu_trainer().test(model, loader(torch.randn(40, 5), torch.arange(40) % 3), verbose=False)
    assert set(scores) == {
        *["test/loss", "test/acc", "test/balanced_acc", "test/f1", "test/ece", "test/adaptive_ece"],
        *["test/acc/cat", "test/acc/dog", "test/acc/owl-eagle"],
    }


def test_predictions_are_the_most_likely_classes_and_their_softmax():
    model, inputs = MLPClassifier((5,), 3, hidden=(8,)), torch.randn(20, 5)
    batches = cpu_trainer().predict(model, loader(inputs, torch.zeros(20, dtype=torch.long)))
    found = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    probabilities = model.net.head(model.net.features(inputs)).softmax(dim=1)
    assert torch.equal(found["index"], torch.arange(20))
    assert torch.equal(found["prediction"], probabilities.argmax(dim=1))
    assert torch.allclose(found["confidence"], probabilities.max(dim=1).values)


def test_classes_without_names_are_numbered():
    assert SoftmaxRegression((5,), 3).class_names == ["0", "1", "2"]


def test_as_many_names_as_classes_are_needed():
    with pytest.raises(ValueError, match="class_names: 2 names for 3 classes"):
        SoftmaxRegression((5,), 3, class_names=["a", "b"])


@pytest.mark.parametrize("training", [True, False])
def test_probabilities_are_those_of_predictions(training):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    model = Classifier(net, 3, posthoc_tau=1.0, tta="flip", calibrate="temperature")
    model.class_counts.copy_(torch.tensor([5, 1, 1]))
    model.temperature.fill_(2.5)
    images = torch.randn(4, 1, 6, 6)
    model.train(training)
    net[2].eval()  # as frozen layers are
    found = model.probabilities(images)
    assert [net[2].training, net[3].training, model.training] == [False, training, training]
    assert not found.requires_grad
    outputs = model.eval().predict_step({"input": images, "index": torch.arange(4)}, 0)
    assert torch.equal(found, outputs["logits"].softmax(dim=1))
    both = [net(each).detach() - torch.tensor([5, 1, 1]).div(7).log() for each in (images, images.flip(3))]
    assert torch.allclose(found, ((both[0] + both[1]) / 2 / 2.5).softmax(dim=1), atol=1e-6)
