import json
import sys
from pathlib import Path

import pytest
import torch

from litzoo.scripts.cli.main import main
from litzoo.scripts.cli.workers import leave_group
from tests.counted import count
from tests.scripts.helpers import CONFIGS, MLP, QUIET, files_in, litzoo, litzoo_anew


@pytest.mark.slow
def test_command_trains_tests_and_says_where_everything_is():
    config = CONFIGS / "digits_mlp.yaml"
    status, printed = litzoo_anew("fit", "--config", str(config), "--trainer.max_epochs=1", "--trainer.accelerator=cpu")
    assert status == 0, printed
    metrics = json.loads(Path("runs/digits_mlp/version_0/metrics.json").read_text())
    assert f"{metrics['test/acc']:.4f}" in printed
    assert "runs/digits_mlp/version_0" in printed
    record = json.loads(Path("runs/digits_mlp/version_0/run.json").read_text())
    assert record["command"].startswith("python -m litzoo fit --config")


@pytest.mark.slow
def test_command_fails_in_a_few_lines():
    status, printed = litzoo_anew("fit", *MLP, "--data.batch_size=0")
    assert status == 1
    assert "data.batch_size: 0" in printed
    assert "Traceback" not in printed
    assert len(printed[printed.index("litzoo: error") :].splitlines()) <= 10


def test_debug_lets_the_error_through(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["litzoo", "fit", *MLP, "--data.batch_size=0", "--debug"])
    with pytest.raises(ValueError, match="batch_size: 0"):
        main()


@pytest.mark.slow
def test_two_processes_leave_one_run_whose_test_equals_that_of_one_process(tmp_path):
    two = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.max_epochs=2"]
    two += ["--trainer.enable_progress_bar=true"]  # which the first process alone draws
    status, printed = litzoo_anew("fit", *MLP, *QUIET, *two)
    assert status == 0, printed
    folder = tmp_path / "runs" / "digits_mlp" / "version_0"
    files = files_in(tmp_path)
    assert {name.split("/version_0/")[0] for name in files} == {"runs/digits_mlp"}
    assert sum(name.endswith("metrics.json") for name in files) == 1
    assert json.loads((folder / "run.json").read_text())["processes"] == 2
    assert sorted(name.split("/")[-1] for name in files if name.endswith(".png")) == [
        "confusion_matrix.png",
        "images.png",  # of the projector
        "predictions.png",
        "training_curves.png",
    ]
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    by_two = json.loads((folder / "metrics.json").read_text())
    litzoo("test", *MLP)
    litzoo("validate", *MLP)
    by_one = json.loads((folder / "metrics.json").read_text())
    assert by_one["test/acc"] == pytest.approx(by_two["test/acc"], abs=1e-6)
    assert by_one == pytest.approx(by_two, abs=1e-5)
    count("processes tried", 2)


def test_a_finished_command_leaves_no_group_whose_threads_could_abort_it(tmp_path, monkeypatch):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    monkeypatch.setattr(sys, "argv", ["litzoo", "fit", *MLP, *QUIET, "--trainer.max_epochs=1"])
    main()
    assert not torch.distributed.is_initialized()
    leave_group()  # nothing is left to end
