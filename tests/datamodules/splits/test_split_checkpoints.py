"""A checkpoint can only be used with the split that it was trained on."""

import re
import shutil
import warnings
from pathlib import Path

import pytest

from litzoo.datamodules import DigitsDataModule, LongTailed, MNISTDataModule, SymmetricNoise
from tests.datamodules.recording import Recorder, quiet_trainer

ASKED = {"val_size": 0.2, "label_noise": SymmetricNoise(0.2), "imbalance": LongTailed(3), "num_labeled": 100}
CHECKPOINT = "trained.ckpt"


def train(datamodule):
    trainer = quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=datamodule)
    trainer.save_checkpoint(CHECKPOINT)
    return datamodule


def use(stage, datamodule, epochs=2):
    recorder, trainer = Recorder(), quiet_trainer(Path.cwd(), epochs)
    getattr(trainer, stage)(recorder, datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True)
    return recorder


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_the_same_split_is_accepted(stage):
    train(DigitsDataModule(**ASKED))
    again = ASKED | {"label_noise": SymmetricNoise(0.2), "imbalance": LongTailed(3)}
    assert use(stage, DigitsDataModule(**again, batch_size=17, augment="shift")).seen


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_another_split_is_refused_with_the_reason(stage):
    fingerprint = train(DigitsDataModule(**ASKED)).fingerprint()
    other = DigitsDataModule(**ASKED | {"seed": 1})
    with pytest.raises(ValueError, match=r"data\.seed was 0, is 1\. ") as error:
        use(stage, other)
    assert all(text in str(error.value) for text in (fingerprint, other.fingerprint(), "config.yaml"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"val_size": 0.1}, ["data.val_size was 0.2, is 0.1"]),
        ({"train_size": {"per_class": 50}}, ["data.train_size was None, is {'per_class': 50}"]),
        ({"known_classes": [0, 1, 2]}, ["data.known_classes was None, is [0, 1, 2]"]),
        ({"imbalance": None}, ["data.imbalance was LongTailed(factor=3, round_down=False), is None"]),
        ({"num_labeled": 90}, ["data.num_labeled was 100, is 90"]),
        ({"known_classes": list(range(8)), "unknown_unlabeled": 9}, ["data.unknown_unlabeled was 0, is 9"]),
        ({"label_noise": SymmetricNoise(0.1)}, ["SymmetricNoise(rate=0.2, keeps_some=False)", "(rate=0.1, keeps_"]),
        ({"noisy_val": True}, ["data.noisy_val was False, is True"]),
        ({"seed": 1, "balance_labeled": False}, ["data.seed was 0, is 1", "data.balance_labeled was True, is False"]),
    ],
)
def test_the_options_that_changed_are_named_and_no_others(change, words):
    trained = DigitsDataModule(**ASKED)
    trained.setup("fit")
    with pytest.raises(ValueError, match="another split of the data") as error:
        DigitsDataModule(**ASKED | change).load_state_dict(trained.state_dict())
    assert all(word in str(error.value) for word in words), error.value
    assert re.findall(r"data\.(\w+) was", str(error.value)) == sorted(change, key=DigitsDataModule.split_by.index)


def test_files_with_other_labels_are_refused_though_the_options_are_the_same(tiny_data):
    root = Path(shutil.copytree(tiny_data / "MNIST", "mine/MNIST")).parent
    train(MNISTDataModule(root=str(root), seed=3))
    labels = root / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    content = labels.read_bytes()
    labels.write_bytes(content[:8] + bytes((label + 1) % 10 for label in content[8:]))
    with pytest.raises(ValueError, match="the files have changed"):
        use("test", MNISTDataModule(root=str(root), seed=3))


def test_testing_without_the_training_files_only_warns(tiny_data):
    root = Path(shutil.copytree(tiny_data / "MNIST", "mine/MNIST")).parent
    train(MNISTDataModule(root=str(root)))
    for file in (root / "MNIST" / "raw").glob("train-*"):
        file.unlink()
    with pytest.warns(UserWarning, match=r"Not checked.*train-labels.*absent"):
        recorder = use("test", MNISTDataModule(root=str(root), seed=1))
    assert len(recorder.column("test", "index")) == 40


def test_testing_reads_no_training_images(tiny_data):
    root = Path(shutil.copytree(tiny_data / "MNIST", "mine/MNIST")).parent
    train(MNISTDataModule(root=str(root)))
    (root / "MNIST" / "raw" / "train-images-idx3-ubyte").unlink()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not checked")
        assert len(use("test", MNISTDataModule(root=str(root))).column("test", "index")) == 40


def test_a_checkpoint_without_a_fingerprint_is_accepted():
    DigitsDataModule().load_state_dict({})
    assert set(DigitsDataModule().state_dict()) == {"images"}  # how images are read; no split yet
