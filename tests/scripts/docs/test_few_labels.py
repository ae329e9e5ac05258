import hashlib
from pathlib import Path

import pytest

from litzoo.datamodules import MNISTDataModule
from litzoo.scripts.docs.few_labels import cut


def test_images_are_cut_once_each_and_labeled_ones_evenly(tiny_data):
    source = MNISTDataModule(root=str(tiny_data))
    cut(source, Path("data/few"), labeled=30, validated=10, unlabeled=40, tested=20)
    names = ("labeled/train", "labeled/val", "labeled/test", "unlabeled")
    parts = {name: sorted(Path("data/few", name).rglob("*.png")) for name in names}
    assert [len(files) for files in parts.values()] == [20, 10, 20, 40]
    for part, count in {"train": 2, "val": 1}.items():
        folders = [Path("data/few/labeled", part, str(digit)) for digit in range(10)]
        assert [len(list(folder.iterdir())) for folder in folders] == [count] * 10
    training = [*parts["labeled/train"], *parts["labeled/val"], *parts["unlabeled"]]
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in training}) == 70
    assert len({path.stem for path in training}) == 70


def test_nothing_is_overwritten(tiny_data):
    Path("few").mkdir()
    with pytest.raises(FileExistsError, match="few exists already; remove it, or name another folder with --to"):
        cut(MNISTDataModule(root=str(tiny_data)), Path("few"), labeled=10, validated=0, unlabeled=10, tested=10)
