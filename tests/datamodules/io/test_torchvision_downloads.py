import hashlib
import shutil
import tarfile

import numpy as np
import pytest
import torchvision

from litzoo.datamodules import CIFAR10DataModule, FashionMNISTDataModule, MNISTDataModule, PennFudanDataModule
from tests.data import builders
from tests.data.mirrors import mnist_served, served

BOTH = pytest.mark.parametrize("datamodule", [MNISTDataModule, FashionMNISTDataModule])


@pytest.fixture
def mnist_mirror(datamodule, tiny_data, tmp_path):
    """A folder with the packed files of the data set, from which torchvision downloads them."""
    with mnist_served(datamodule.dataset, tiny_data, tmp_path / "mirror"):
        yield tmp_path / "mirror"


@BOTH
@pytest.mark.usefixtures("mnist_mirror")
def test_torchvision_downloads_once_and_the_files_are_read(datamodule, tiny_data, tmp_path, monkeypatch):
    root = tmp_path / "data"
    for _ in range(2):
        datamodule(root=str(root)).prepare_data()
        monkeypatch.setattr(datamodule.dataset, "mirrors", [])  # the second time must not need them
    assert [path.name for path in root.iterdir()] == [datamodule.dataset.__name__]
    for train in (True, False):
        for got, expected in zip(
            datamodule(root=str(root)).read(train), datamodule(root=str(tiny_data)).read(train), strict=True
        ):
            assert np.array_equal(got, expected)


@BOTH
@pytest.mark.parametrize("trouble", ["absent", "broken"])
def test_a_download_that_breaks_off_leaves_nothing(datamodule, trouble, mnist_mirror, tmp_path):
    last = mnist_mirror / datamodule.dataset.resources[-1][0]
    last.unlink() if trouble == "absent" else last.write_bytes(last.read_bytes()[:-10])
    root = tmp_path / "data"
    with pytest.raises(FileNotFoundError, match=r"(?s)--data\.root.*LITZOO_DATA_DIR") as error:
        datamodule(root=str(root)).prepare_data()
    assert f"{root / datamodule.dataset.__name__} is absent and could not be downloaded" in str(error.value)
    assert f"Error downloading {last.name}" in str(error.value)
    assert not root.exists()


@pytest.mark.usefixtures("any_checksum")
def test_cifar10_is_unpacked_and_its_archive_not_kept(tmp_path, monkeypatch):
    builders.write_cifar10(tmp_path / "source", train=20, test=10)
    archive = tmp_path / "mirror" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "source" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    root = tmp_path / "data"
    with served(archive.parent) as address:
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", address + archive.name)
        CIFAR10DataModule(root=str(root)).prepare_data()
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    images, targets = CIFAR10DataModule(root=str(root)).read(train=True)
    assert (len(images), len(targets)) == (20, 20)


def test_penn_fudan_is_downloaded_once_and_its_archive_not_kept(tmp_path, monkeypatch):
    builders.write_instances(tmp_path / "source" / "PennFudanPed", 6)
    (tmp_path / "mirror").mkdir()
    shutil.make_archive(str(tmp_path / "mirror" / "PennFudanPed"), "zip", tmp_path / "source")
    root = tmp_path / "data"
    with served(tmp_path / "mirror") as address:
        monkeypatch.setattr("litzoo.datamodules.segmentation.penn_fudan.URL", f"{address}PennFudanPed.zip")
        PennFudanDataModule(root=str(root)).prepare_data()
    PennFudanDataModule(root=str(root)).prepare_data()  # without the server
    assert [path.name for path in root.iterdir()] == ["PennFudanPed"]
    datamodule = PennFudanDataModule(root=str(root), test_size=2, val_size=1)
    datamodule.setup("fit")
    assert [len(each) for each in (datamodule.train_set, datamodule.val_set, datamodule.test_set)] == [3, 1, 2]
    with pytest.raises(FileNotFoundError, match=r"PennFudanPed is absent and could not be downloaded.*--data\.root"):
        PennFudanDataModule(root=str(tmp_path / "other")).prepare_data()
    PennFudanDataModule(root=str(tmp_path / "other"), folder="nuclei").prepare_data()  # is nobody's to download
