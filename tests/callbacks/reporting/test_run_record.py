import json
import shlex
import subprocess
import sys
import warnings
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback

from litzoo.callbacks import RunRecord
from litzoo.callbacks.reporting.run_record import command_line
from litzoo.datamodules import DigitsDataModule
from tests.callbacks.scripted import Scripted
from tests.datamodules.recording import Recorder
from tests.training import cpu_trainer

SECONDS_PER_EPOCH = 10
PACKAGES = ("litzoo", "torchvision", "torchmetrics", "lightning")


class AdvancesClock(Callback):
    """Advances a fake clock by ten seconds in every epoch, and saves a checkpoint of each."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_epoch_start(self, trainer, pl_module):
        self.clock.now += SECONDS_PER_EPOCH

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.save_checkpoint(f"{trainer.current_epoch + 1}.ckpt")


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("litzoo.callbacks.reporting.run_record.time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def train(clock, epochs, resumed=None):
    """Trains up to a number of epochs, from a checkpoint or from the beginning; returns the record."""
    trainer = cpu_trainer(max_epochs=epochs, callbacks=[RunRecord(), AdvancesClock(clock)])
    trainer.fit(Scripted(), ckpt_path=resumed, weights_only=True)
    return json.loads(Path("run/run.json").read_text())


def change(name, **changed):
    """Changes the record in a checkpoint."""
    content = torch.load(name, weights_only=True)
    content["callbacks"]["RunRecord"] |= changed
    torch.save(content, name)


@pytest.mark.parametrize(("seed", "expected"), [("7", 7), (None, None)])
def test_the_record_has_command_seed_hardware_and_versions(monkeypatch, seed, expected):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/litzoo", "fit", "--config", "a b.yaml", "--model.hidden=[7]"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr("litzoo.callbacks.reporting.run_record.git_revision", lambda folder: f"that of {folder.name}")
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    if seed is not None:
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
    trainer = cpu_trainer(max_epochs=3, callbacks=[RunRecord()])
    trainer.fit(Scripted())
    record = json.loads(Path("run/run.json").read_text())
    assert record.pop("training_seconds") >= 0
    assert abs(date.fromisoformat(record.pop("date")) - date.today()) <= timedelta(days=1)
    assert "cores" in record.pop("hardware")
    assert {name: record.pop(name) for name in PACKAGES} == {name: version(name) for name in PACKAGES}
    assert record == {
        "primary_metric": "loss",
        "command": "litzoo fit --config 'a b.yaml' '--model.hidden=[7]'",
        "seed": expected,
        "epochs": 3,
        "optimizer_steps": 3 * trainer.num_training_batches,
        "split_fingerprint": None,
        "processes": 1,
        "nodes": 1,
        "precision": "32-true",
        "git_revision": f"that of {Path(__file__).parents[3].name}",
        "torch": torch.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "finished": False,
        "parts": 1,
        "earlier": [],
    }


@pytest.mark.parametrize(
    ("started_as", "arguments", "expected"),
    [
        (None, ["/bin/litzoo", "fit", "it's", "$HOME"], ["litzoo", "fit", "it's", "$HOME"]),
        ("litzoo", ["/place/scripts/cli.py", "fit"], ["python", "-m", "litzoo", "fit"]),
    ],
)
def test_the_command_line_can_be_repeated(monkeypatch, started_as, arguments, expected):
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", started_as and SimpleNamespace(name=started_as))
    assert shlex.split(command_line()) == expected


def test_the_fingerprint_is_that_of_the_split():
    datamodule = DigitsDataModule(train_size=20)
    cpu_trainer(callbacks=[RunRecord()]).fit(Recorder(), datamodule=datamodule)
    assert json.loads(Path("run/run.json").read_text())["split_fingerprint"] == datamodule.fingerprint()


def test_a_run_that_ends_in_its_first_epoch_has_a_record(monkeypatch):
    monkeypatch.setattr(Scripted, "training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cpu_trainer(callbacks=[RunRecord()]).fit(Scripted())
    record = json.loads(Path("run/run.json").read_text())
    assert (record["epochs"], record["training_seconds"]) == (0, 0)


def test_the_seconds_are_those_of_the_epochs_that_led_to_the_weights(clock):
    first = train(clock, epochs=3)
    clock.now += 500  # nothing runs meanwhile
    second = train(clock, epochs=4, resumed="2.ckpt")  # as after a kill in the third epoch
    third = train(clock, epochs=5, resumed="4.ckpt")
    found = [(record["training_seconds"], record["parts"], record["epochs"]) for record in (first, second, third)]
    assert found == [(30, 1, 3), (40, 2, 4), (50, 3, 5)]
    assert [part["epochs"] for part in third["earlier"]] == [2, 4]
    assert set(third["earlier"][0]) == {"command", "date", "git_revision", "hardware", "epochs"}


def test_a_second_training_with_the_same_callback_has_a_new_record(clock):
    record = RunRecord()
    for _ in range(2):
        cpu_trainer(max_epochs=2, callbacks=[record, AdvancesClock(clock)]).fit(Scripted())
    found = json.loads(Path("run/run.json").read_text())
    assert (found["training_seconds"], found["parts"], found["earlier"]) == (20, 1, [])


def test_the_duration_is_unknown_after_a_checkpoint_without_record(clock):
    train(clock, epochs=2)
    content = torch.load("1.ckpt", weights_only=True)
    del content["callbacks"]["RunRecord"]
    torch.save(content, "1.ckpt")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*resumed in a different environment")
        record = train(clock, epochs=2, resumed="1.ckpt")
    assert (record["training_seconds"], record["epochs"]) == (None, 2)


def test_a_resumed_run_warns_once_of_a_changed_environment(clock, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    train(clock, epochs=1)
    change("1.ckpt", seed=5, torch="1.13.1", hardware="2 × NVIDIA A100", git_revision=None, command="litzoo fit")
    with pytest.warns(UserWarning, match="resumed in a different environment") as warned:
        train(clock, epochs=2, resumed="1.ckpt")
    (message,) = [str(each.message) for each in warned if "environment" in str(each.message)]
    parts = message.split(": ", 1)[1].split("; ")
    assert "seed 0, was 5" in parts
    assert f"torch {torch.__version__}, was 1.13.1" in parts
    assert [part.split(" ")[0] for part in parts if "git" not in part] == ["seed", "hardware", "torch"]


def test_a_resumed_run_in_the_same_environment_does_not_warn(clock):
    train(clock, epochs=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*resumed")
        train(clock, epochs=2, resumed="1.ckpt")


def test_git_is_called_once(clock, monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command) or SimpleNamespace(stdout="a1\n"))
    monkeypatch.setattr(Path, "exists", lambda self: True)
    assert train(clock, epochs=3)["git_revision"] == "a1"
    assert len(calls) == 1


def test_validation_alone_writes_no_record():
    model = Scripted([1.0])
    cpu_trainer(callbacks=[RunRecord()]).validate(model, verbose=False)
    assert not Path("run/run.json").exists()
