"""Outlier exposure, against values computed by hand."""

import pytest
import torch
import torch.nn.functional as F

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, CoTeachingClassifier, MixUp, ShuffledPieces, SoftmaxRegression
from litzoo.scripts.predict.loading import load_trained
from tests.training import cpu_trainer
from tests.waiting import CountWaits


def pieces_of(image, count, side):
    """Returns the pieces of an image `[C, H, W]` as lists of pixels, sorted."""
    return sorted(
        image[:, row * side : (row + 1) * side, column * side : (column + 1) * side].flatten().tolist()
        for row in range(count)
        for column in range(count)
    )


def test_the_pieces_of_each_image_are_put_together_in_another_order():
    images = torch.randn(6, 2, 13, 13)
    before = images.clone()
    with CountWaits() as waits:
        shuffled = ShuffledPieces(4)(images)
    assert not waits.counts
    assert torch.equal(images, before)
    for own, other in zip(images, shuffled, strict=True):
        assert not torch.equal(own, other)
        assert pieces_of(own, 4, 3) == pieces_of(other, 4, 3)
    # A row and a column of pixels are left over.
    assert torch.equal(shuffled[:, :, 12], images[:, :, 12])
    assert torch.equal(shuffled[..., 12], images[..., 12])
    orders = {
        tuple(each[0, :12, :12].unfold(0, 3, 3).unfold(1, 3, 3)[..., 0, 0].flatten().tolist()) for each in shuffled
    }
    assert len(orders) == 6


def test_the_loss_is_the_cross_entropy_of_the_uniform_distribution():
    batch = {"input": torch.randn(12, 1, 28, 28), "target": torch.arange(12) % 10, "index": torch.arange(12)}
    model = SoftmaxRegression((1, 28, 28), 10, outliers=ShuffledPieces(weight=0.3))
    torch.manual_seed(4)
    logits, loss = model.training_loss(batch)
    torch.manual_seed(4)
    others = model(ShuffledPieces()(batch["input"]))
    uniform = torch.full((12, 10), 0.1)
    expected = F.cross_entropy(logits, batch["target"]) + 0.3 * F.cross_entropy(others, uniform)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(logits, model(batch["input"]))


def test_a_model_becomes_undecided_about_outliers_and_its_checkpoint_predicts():
    data = DigitsDataModule(train_size=600, val_size=100, batch_size=50)
    torch.manual_seed(0)
    options = {"widths": [8, 16], "optimizer": lambda parameters: torch.optim.Adam(parameters, 0.01)}
    exposed, plain = (
        CNNClassifier((1, 28, 28), num_classes=10, outliers=each, **options) for each in (ShuffledPieces(), None)
    )
    confidences = []
    for model in (exposed, plain):
        trainer = cpu_trainer(max_epochs=4)
        trainer.fit(model, data)
        images = data.normalise(data.val_set.inputs[data.val_set.indices])
        with torch.no_grad():
            confidences.append(model.eval()(ShuffledPieces()(images)).softmax(dim=1).amax(dim=1).mean())
    assert confidences[0] < 0.35 < 0.6 < confidences[1]
    trainer = cpu_trainer(max_epochs=1)
    trainer.fit(exposed, data)
    trainer.save_checkpoint("exposed.ckpt")
    assert load_trained("exposed.ckpt").module.outliers is None


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"ShuffledPieces.pieces: 1 leaves the images as they are"):
        ShuffledPieces(1)
    with pytest.raises(ValueError, match=r"ShuffledPieces.weight: 0 is not above 0"):
        ShuffledPieces(weight=0)
    with pytest.raises(ValueError, match=r"pieces: 4 × 4 of inputs of shape \[5\]; it needs images"):
        ShuffledPieces()(torch.randn(3, 5))
    with pytest.raises(ValueError, match="leave out outliers or mix"):
        SoftmaxRegression((1, 8, 8), 2, mix=MixUp(), outliers=ShuffledPieces())
    with pytest.raises(ValueError, match="co-teaching takes no outliers"):
        CoTeachingClassifier((1, 8, 8), num_classes=2, forget_rate=0.2, widths=[4], outliers=ShuffledPieces())
