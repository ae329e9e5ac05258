"""What docs/scaling.md says: its table, computed by the code, and its SLURM script, with stand-ins for SLURM."""

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import torch

from litzoo.datamodules import DigitsDataModule
from litzoo.datamodules.samplers import EpochBatches
from litzoo.datamodules.splits.core import Split

PAGE = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
SCRIPT = re.search(r"```bash\n(#!/bin/bash\n.*?)```", PAGE, re.DOTALL)[1]
COMMAND = "--kill-on-bad-exit=1 litzoo fit --config mnist_cnn --experiment mnist_cnn_7 --resume auto"
ENVIRONMENT = {
    "SLURM_JOB_ID": "7",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_CPUS_PER_TASK": "3",
}


def pool_steps(processes):
    datamodule = DigitsDataModule(num_labeled=800, batch_size=64, unlabeled_batch_size=448)
    nothing = torch.empty(0)
    datamodule.split = Split(train=torch.empty(800), val=nothing, unlabeled=torch.empty(59_000))
    datamodule.trainer = SimpleNamespace(world_size=processes, global_rank=0)
    return datamodule.steps


def test_the_table_of_steps_is_that_of_the_code():
    table = re.search(r"<!-- steps -->(.*)<!-- /steps -->", PAGE, re.DOTALL)[1]
    rows = [[int(cell) for cell in re.findall(r"(?<=\| )\d+(?= \|)", line)] for line in table.strip().splitlines()[2:]]
    processes = (1, 2, 8)
    expected = [
        [len(EpochBatches(55_000, 128, drop_last, num_replicas=count)) for count in processes]
        for drop_last in (False, True)
    ]
    assert rows == [*expected, [pool_steps(count) for count in processes]]


def run_script(folder, srun):
    """Runs the SLURM script with a `srun` and a `scontrol` that note what they are asked for; returns that."""
    for name, action in [("srun", srun), ("scontrol", "")]:
        stand_in = folder / "bin" / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/bash\necho {name} "$@" >> "{folder}/asked"\n{action}\n')
        stand_in.chmod(0o755)
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.touch()
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, **ENVIRONMENT, "SLURM_SUBMIT_DIR": str(folder), "PATH": path}
    done = subprocess.run(["bash", "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, (folder / "asked").read_text().splitlines()


def test_the_slurm_script_resumes_by_itself(tmp_path):
    assert run_script(tmp_path, srun="exit 3") == (3, [f"srun {COMMAND}"])


def test_the_slurm_script_starts_again_when_its_time_is_over(tmp_path):
    _, asked = run_script(tmp_path, srun="kill -USR1 $PPID; sleep 1")
    assert asked[1:] == ["scontrol requeue 7"]
