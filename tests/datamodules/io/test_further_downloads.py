"""torchvision downloads KMNIST, EMNIST, SVHN and CIFAR-100 once, whole or not at all."""

import gzip
import hashlib
import tarfile
import zipfile

import pytest
import torch
import torchvision

from litzoo.datamodules import CIFAR100DataModule, EMNISTDataModule, KMNISTDataModule, SVHNDataModule
from tests.data import builders, further
from tests.data.mirrors import mnist_served, served


def checksum(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def assert_same(module, root, source, **options):
    for train in (True, False):
        got, expected = (module(root=str(place), **options).read(train) for place in (root, source))
        assert all(torch.equal(*each) for each in zip(got, expected, strict=True))


def test_kmnist(tmp_path):
    builders.write_mnist(tmp_path / "source", "KMNIST")
    with mnist_served(torchvision.datasets.KMNIST, tmp_path / "source", tmp_path / "mirror"):
        KMNISTDataModule(root=str(tmp_path / "data")).prepare_data()
    KMNISTDataModule(root=str(tmp_path / "data")).prepare_data()  # without the server
    assert_same(KMNISTDataModule, tmp_path / "data", tmp_path / "source")


def test_emnist(tmp_path, monkeypatch):
    further.write_emnist(tmp_path / "source")
    archive = tmp_path / "mirror" / "gzip.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted((tmp_path / "source" / "EMNIST" / "raw").iterdir()):
            packed.writestr(f"gzip/{file.name}.gz", gzip.compress(file.read_bytes()))
    dataset = torchvision.datasets.EMNIST
    monkeypatch.setattr(dataset, "md5", checksum(archive))
    root = tmp_path / "data"
    with served(archive.parent) as address:
        monkeypatch.setattr(dataset, "url", address + archive.name)
        EMNISTDataModule(root=str(root), subset="digits").prepare_data()
    EMNISTDataModule(root=str(root), subset="letters").prepare_data()  # was in the same archive
    assert [path.name for path in root.iterdir()] == ["EMNIST"]
    for subset in further.SUBSETS:
        assert_same(EMNISTDataModule, root, tmp_path / "source", subset=subset)


@pytest.mark.parametrize("broken", [False, True])
def test_svhn(broken, tmp_path, monkeypatch):
    mirror, root = tmp_path / "SVHN", tmp_path / "data"
    further.write_svhn(mirror)
    with served(mirror) as address:
        lists = {
            part: [f"{address}{part}_32x32.mat", f"{part}_32x32.mat", checksum(mirror / f"{part}_32x32.mat")]
            for part in ("train", "test")
        }
        monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)
        if broken:
            (mirror / "test_32x32.mat").write_bytes(b"")
            with pytest.raises(FileNotFoundError, match="SVHN is absent and could not be downloaded"):
                SVHNDataModule(root=str(root)).prepare_data()
            assert not root.exists()
            return
        SVHNDataModule(root=str(root)).prepare_data()
    SVHNDataModule(root=str(root)).prepare_data()
    assert [path.name for path in root.iterdir()] == ["SVHN"]
    assert_same(SVHNDataModule, root, tmp_path)


def test_cifar100(tmp_path, monkeypatch):
    further.write_cifar100(tmp_path / "source")
    archive = tmp_path / "mirror" / "cifar-100-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "source" / "cifar-100-python", "cifar-100-python")
    dataset = torchvision.datasets.CIFAR100
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(dataset, name, [[file, None] for file, _ in getattr(dataset, name)])
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": None})
    monkeypatch.setattr(dataset, "tgz_md5", checksum(archive))
    with served(archive.parent) as address:
        monkeypatch.setattr(dataset, "url", address + archive.name)
        CIFAR100DataModule(root=str(tmp_path / "data")).prepare_data()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar-100-python"]
    assert_same(CIFAR100DataModule, tmp_path / "data", tmp_path / "source")
