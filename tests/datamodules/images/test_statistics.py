import numpy as np
import pytest

from litzoo.datamodules import FashionMNISTDataModule, MNISTDataModule

BOTH = pytest.mark.parametrize("datamodule", [MNISTDataModule, FashionMNISTDataModule])


@pytest.mark.real_data
@BOTH
def test_mean_and_std_are_those_of_the_real_training_images(datamodule, real_data):
    images, targets = datamodule(root=str(real_data)).read(train=True)
    counts = np.bincount(images.numpy().ravel(), minlength=256)
    levels = np.arange(256) / 255
    mean = (counts * levels).sum() / counts.sum()
    std = ((counts * levels**2).sum() / counts.sum() - mean**2) ** 0.5
    assert (len(images), len(targets)) == (60000, 60000)
    assert datamodule.mean[0] == pytest.approx(mean, abs=1e-3)
    assert datamodule.std[0] == pytest.approx(std, abs=1e-3)


@pytest.mark.real_data
@BOTH
def test_the_real_split_is_stratified(datamodule, real_data):
    module = datamodule(root=str(real_data), val_size=5000)
    module.setup("fit"), module.setup("test")
    assert [len(part) for part in (module.train_set, module.val_set, module.test_set)] == [55000, 5000, 10000]
    counts = np.bincount(module.train_set.targets.numpy())
    assert (np.abs(np.array(module.split_report()["per_class"]["val"]) - counts / 12) < 1).all()
