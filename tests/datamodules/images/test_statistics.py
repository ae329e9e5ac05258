import numpy as np
import pytest

from litzoo.datamodules import (
    CIFAR10DataModule,
    CIFAR100DataModule,
    EMNISTDataModule,
    FashionMNISTDataModule,
    KMNISTDataModule,
    MNISTDataModule,
    SVHNDataModule,
)

BOTH = pytest.mark.parametrize("datamodule", [MNISTDataModule, FashionMNISTDataModule])
SIZES = {CIFAR10DataModule: 50000, CIFAR100DataModule: 50000, EMNISTDataModule: 112800, KMNISTDataModule: 60000}
SIZES |= {SVHNDataModule: 73257}


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


@pytest.mark.real_data
@pytest.mark.parametrize("datamodule", SIZES)
def test_those_that_are_quoted_are_right_where_the_files_are_at_hand(datamodule, real_data):
    module = datamodule(root=str(real_data))
    try:
        images, _ = module.read(train=True)
    except FileNotFoundError as absent:
        pytest.skip(f"not measured: {absent}")
    counts = np.stack(
        [np.bincount(images[:, channel].numpy().ravel(), minlength=256) for channel in range(len(images[0]))]
    )
    levels, pixels = np.arange(256) / 255, counts[0].sum()
    mean = counts @ levels / pixels
    assert len(images) == SIZES[datamodule]
    assert datamodule.mean == pytest.approx(mean, abs=1e-3)
    assert datamodule.std == pytest.approx((counts @ levels**2 / pixels - mean**2) ** 0.5, abs=1e-3)
