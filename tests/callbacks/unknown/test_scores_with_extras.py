"""A score of one's own that needs gradients or several passes, from training to prediction."""

import pytest
import torch
from torch import nn

from litzoo.callbacks import MaxLogit, UnknownClassDetector
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.scripts.export.program import Answer
from litzoo.scripts.predict import Predictor
from tests.callbacks.open_set_digits import BEST, conformal, digits, fit, metrics_of, module_in, perceptron
from tests.callbacks.unknown.own_scores import ODIN, MCDropout
from tests.training import cpu_trainer


def images_of(datamodule, part):
    datamodule.setup("test" if part == "test" else "fit")
    chosen = getattr(datamodule, f"{part}_set")
    return datamodule.normalise(chosen.inputs[chosen.indices])


def odin_by_hand(net, images, temperature=10.0, epsilon=0.05):
    """Returns the scores as the paper has them, sample by sample."""
    scores = []
    for image in images:
        image = image[None].clone().requires_grad_()
        (net(image) / temperature).softmax(dim=1).max().log().backward()
        moved = image.detach() + epsilon * image.grad.sign()  # towards a higher confidence
        scores.append(1 - float((net(moved).detach().double() / temperature).softmax(dim=1).max()))
    return torch.tensor(scores, dtype=torch.float64)


def test_odin_is_calibrated_tested_and_predicted_as_computed_by_hand():
    data = digits()
    fit(UnknownClassDetector(ODIN(), 0.8, report=[MaxLogit()]), datamodule=data)
    net = module_in(BEST).net
    threshold = conformal(odin_by_hand(net, images_of(data, "val")), 0.8)
    scores = odin_by_hand(net, images_of(data, "test"))

    detector = UnknownClassDetector(ODIN(), 0.8, report=[MaxLogit()])
    metrics = metrics_of(detector, digits(), BEST)
    assert metrics["test/unknown/threshold"] == pytest.approx(threshold, abs=1e-6)
    torch.testing.assert_close(detector.test_scores, scores, rtol=0, atol=1e-6)

    trainer = cpu_trainer(callbacks=[UnknownClassDetector(ODIN(), 0.8)])
    batches = trainer.predict(module_in(BEST), digits(), ckpt_path=BEST)
    predicted = torch.cat([batch["unknown_score"] for batch in batches])
    torch.testing.assert_close(predicted, scores.float(), rtol=0, atol=1e-6)

    predictor = Predictor.load(BEST, score=ODIN(), device="cpu")
    alone = predictor.predict_batch(data.test_set.inputs[data.test_set.indices])
    torch.testing.assert_close(alone["unknown_score"], scores.float(), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="ODIN, needs more than one pass through the network"):
        Answer(predictor)


def test_mc_dropout_passes_through_the_network_several_times():
    model = perceptron()
    model.net = nn.Sequential(nn.Dropout(0.3), model.net)
    score = MCDropout()
    fit(detector := UnknownClassDetector(score, 0.8), datamodule=digits(), model=model)
    assert detector.detection.known_scores.unique().numel() > 40
    images = images_of(digits(), "test")[:50]
    model.eval()
    found = score.observe(images, model.net)["mean_probabilities"]
    assert not any(layer.training for layer in model.modules())
    torch.manual_seed(0)
    model.net[0].train()
    expected = torch.stack([model.net(images).softmax(dim=1) for _ in range(8)]).mean(dim=0)
    torch.testing.assert_close(found, expected)


class Nameless(ODIN):
    """Returns something else than it asks for."""

    def observe(self, inputs, model):
        return {"something": torch.zeros(3)}


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"Nameless.observe returned {'something': \[3\]} for 50 samples; .* perturbed"
    ):
        fit(UnknownClassDetector(Nameless()))
    with pytest.raises(ValueError, match=r"ODIN reads perturbed_logits, which the evidence lacks"):
        ODIN()(Evidence(torch.zeros(2, 3), torch.zeros(2, 0)))
