import gzip
import hashlib
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torchvision

from datamodules import CIFAR10DataModule, FashionMNISTDataModule, MNISTDataModule
from tests.data import builders

BOTH = pytest.mark.parametrize("datamodule", [MNISTDataModule, FashionMNISTDataModule])


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder and the address under which this machine serves it: torchvision takes no `file://`."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mnist_mirror(mirror, datamodule, tiny_data, monkeypatch):
    """A mirror with the packed files of the data set, their checksums made known to torchvision."""
    folder, address = mirror
    resources = []
    for file in sorted((tiny_data / datamodule.dataset.__name__ / "raw").iterdir()):
        packed = folder / f"{file.name}.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
    monkeypatch.setattr(datamodule.dataset, "mirrors", [address])
    monkeypatch.setattr(datamodule.dataset, "resources", resources)
    return folder


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
    assert list(root.iterdir()) == []


@pytest.mark.usefixtures("any_checksum")
def test_cifar10_is_unpacked_and_its_archive_not_kept(mirror, tmp_path, monkeypatch):
    folder, address = mirror
    builders.write_cifar10(tmp_path / "source", train=20, test=10)
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "source" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", address + archive.name)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    root = tmp_path / "data"
    CIFAR10DataModule(root=str(root)).prepare_data()
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    pictures, targets = CIFAR10DataModule(root=str(root)).read(train=True)
    assert (len(pictures), len(targets)) == (20, 20)
