import json
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import RunSummary
from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.compare.command import compare
from litzoo.scripts.compare.queue import slot_environment
from tests.callbacks.scripted import Scripted
from tests.scripts.helpers import CONFIGS, MLP, litzoo
from tests.training import cpu_trainer


def test_a_test_of_the_last_checkpoint_writes_metrics_last_json(trained):
    path = trained / "checkpoints" / "last.ckpt"
    last = torch.load(path, weights_only=True)
    last["state_dict"]["net.head.bias"][3] = 1e6  # always predicts a three
    torch.save(last, path)
    litzoo("test", *MLP, "--ckpt_path=last")
    data = DigitsDataModule()
    data.setup("test")
    found = json.loads((trained / "metrics_last.json").read_text())
    assert found["test/acc"] == pytest.approx((data.test_set.targets == 3).float().mean().item())
    assert found["test/acc/3"] == 1
    assert all(name.startswith("test/") for name in found)


def test_another_training_in_the_folder_deletes_metrics_last_json():
    Path("run").mkdir()
    Path("run/metrics_last.json").write_text('{"test/acc": 1}')
    cpu_trainer(callbacks=[RunSummary()]).fit(Scripted([1.0]))
    assert {path.name for path in Path("run").glob("*.json")} == {"metrics.json"}


@pytest.mark.slow
def test_runs_are_trained_and_tested_by_the_real_command(capsys):
    options = "--trainer.max_epochs=2 --trainer.accelerator=cpu --data.train_size=200 --model.hidden=[16]"
    compare(
        [str(CONFIGS / "digits_mlp.yaml"), "--seeds", "7", "--name", "it", "--epoch", "best", f"--common={options}"]
    )
    folder = Path("runs/compare_it/digits_mlp/seed_7/version_0")
    accuracy = json.loads((folder / "metrics.json").read_text())["test/acc"]
    assert f"{100 * accuracy:.2f} %" in capsys.readouterr().out
    assert json.loads((folder / "run.json").read_text())["seed"] == 7
    assert Path("runs/compare_it/curves.png").is_file()


@pytest.mark.parametrize(
    ("slot", "jobs", "visible", "expected"),
    [
        (0, 1, None, None),
        (1, 2, None, "1,3"),
        (0, 4, None, "0"),
        (5, 6, None, "1"),
        (1, 2, "MIG-a,MIG-b", "MIG-b"),
    ],
)
def test_parallel_processes_divide_the_gpus(slot, jobs, visible, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert slot_environment(slot, jobs).get("CUDA_VISIBLE_DEVICES") == expected


@pytest.mark.parametrize(("jobs", "threads"), [(1, "6"), (2, "3"), (4, "1"), (9, "1")])
def test_parallel_processes_divide_the_cores(jobs, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert slot_environment(0, jobs)["OMP_NUM_THREADS"] == threads
