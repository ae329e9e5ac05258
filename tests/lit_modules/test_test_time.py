import pytest
import torch
import torch.nn.functional as F

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, MLPClassifier
from litzoo.lit_modules.test_time import mean_over_flips
from tests.training import cpu_trainer


def digits():
    return DigitsDataModule(train_size=100, val_size=50)


def cnn(**options):
    torch.manual_seed(0)
    return CNNClassifier((1, 28, 28), 10, **{"widths": [4], "tta": "flip", **options})


def by_hand(model, part):
    """Computes the mean logits of the images of a part and of their mirror images, and the targets."""
    datamodule = digits()
    datamodule.setup("test" if part == "test_set" else "fit")
    rows = getattr(datamodule, part)
    images = datamodule.normalise(rows.inputs[rows.indices])
    with torch.no_grad():
        plain, mirrored = model.eval()(images), model(torch.flip(images, [3]))
    return plain, (plain + mirrored) / 2, rows.targets[rows.indices]


def test_a_test_averages_the_logits_of_images_and_mirror_images():
    model = cnn()
    plain, mean, target = by_hand(model, "test_set")
    (metrics,) = cpu_trainer().test(model, digits(), verbose=False)
    assert metrics["test/loss"] == pytest.approx(F.cross_entropy(mean, target).item(), rel=1e-5)
    assert metrics["test/acc"] == pytest.approx((mean.argmax(1) == target).double().mean().item())
    assert metrics["test/loss"] != pytest.approx(F.cross_entropy(plain, target).item(), rel=1e-5)


def test_so_does_a_prediction():
    model = cnn()
    _, mean, _ = by_hand(model, "test_set")
    outputs = cpu_trainer().predict(model, digits())
    assert torch.allclose(torch.cat([each["logits"] for each in outputs]), mean, atol=1e-5)


def test_validation_and_training_do_not():
    model = cnn()
    plain, _, target = by_hand(model, "val_set")
    (metrics,) = cpu_trainer().validate(model, digits(), verbose=False)
    assert metrics["val/loss"] == pytest.approx(F.cross_entropy(plain, target).item(), rel=1e-5)
    both = [cnn(tta=tta) for tta in ("none", "flip")]
    logged = []
    for each in both:
        trainer = cpu_trainer()
        torch.manual_seed(1)
        trainer.fit(each, digits())
        logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert logged[0] == logged[1]


def test_features_are_averaged_too():
    model = cnn()
    model.keeps_features = True
    x = torch.randn(4, 1, 28, 28)
    with torch.no_grad():
        features, logits = model.eval().features_and_logits(x, test_time=True)
        expected = (model.net.features(x) + model.net.features(x.flip(3))) / 2
    assert torch.allclose(features["features"], expected, atol=1e-6)
    assert torch.allclose(logits, model.net.head(expected), atol=1e-5)


def test_the_checkpoint_keeps_the_option(tmp_path):
    model, trainer = cnn(), cpu_trainer()
    trainer.fit(model, digits())
    trainer.save_checkpoint(tmp_path / "flip.ckpt")
    loaded = CNNClassifier.load_from_checkpoint(tmp_path / "flip.ckpt", weights_only=True)
    assert loaded.tta == "flip"
    before, after = (cpu_trainer().test(each, digits(), verbose=False) for each in (model, loaded))
    assert before == after


def test_mean_over_flips_calls_with_the_mirrored_images():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    features, logits = mean_over_flips(lambda images: ({"features": images}, images[..., 0].flatten(1)), x)
    assert torch.equal(logits, (x[..., 0] + x[..., 3]).flatten(1) / 2)
    assert torch.equal(features["features"], (x + x.flip(3)) / 2)


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="tta: 'crop' is neither none nor flip"):
        cnn(tta="crop")


def test_rows_of_a_table_are_refused():
    model = MLPClassifier((10,), 3, tta="flip")
    with pytest.raises(ValueError, match=r"tta: flip mirrors images .* not inputs \[2, 10\]"):
        model.features_and_logits(torch.zeros(2, 10), test_time=True)
