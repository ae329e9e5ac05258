"""How many devices a command has that torchrun or SLURM has started in several processes."""

import pytest
from jsonargparse import Namespace

from litzoo.scripts.cli.launch import trainer_to_launch
from litzoo.scripts.cli.workers import decided_by_first, refuse_sharded, settle_devices, workers

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "name",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_NNODES": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}


@pytest.fixture(params=[TORCHRUN, SLURM], ids=["torchrun", "srun"])
def started(request, monkeypatch):
    """The environment of one of two processes on each of two machines; returns who has started it."""
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    return "torchrun" if request.param is TORCHRUN else "srun"


@pytest.mark.parametrize("devices", ["auto", -1, "-1", 2, "2", [0, 1], "0,1"])
def test_open_numbers_are_those_of_the_launcher(devices, started):
    options = Namespace(devices=devices, num_nodes=1)
    settle_devices(options)
    assert options.devices == (2 if devices in ("auto", -1, "-1") else devices)
    assert options.num_nodes == 2


@pytest.mark.parametrize(("devices", "nodes"), [(1, 2), (4, 1), ("auto", 3), ([0], 1)])
def test_other_numbers_are_refused(devices, nodes, started):
    with pytest.raises(ValueError, match=rf"--trainer\.devices .*{started} has started 2 processes on each of 2 nodes"):
        settle_devices(Namespace(devices=devices, num_nodes=nodes))


def test_without_a_launcher_nothing_is_settled(monkeypatch):
    options = Namespace(devices="auto", num_nodes=1)
    settle_devices(options)
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID"):  # a batch script without srun
        monkeypatch.setenv(name, SLURM[name])
    settle_devices(options)
    assert workers() is None
    assert options == Namespace(devices="auto", num_nodes=1)
    assert decided_by_first(lambda: "this") == "this"


@pytest.mark.parametrize(
    "strategy",
    [
        "fsdp",
        "deepspeed_stage_3_offload",
        {"class_path": "lightning.pytorch.strategies.FSDPStrategy"},
        {"class_path": "lightning.pytorch.strategies.ModelParallelStrategy"},
    ],
)
def test_sharded_strategies_are_refused_by_name(strategy):
    name = strategy if isinstance(strategy, str) else strategy["class_path"].rsplit(".", 1)[-1]
    with pytest.raises(ValueError, match=rf"--trainer\.strategy: {name} shards the weights.*use ddp"):
        trainer_to_launch(Namespace(strategy=strategy, accelerator="cpu", devices=2, num_nodes=1))


@pytest.mark.parametrize("strategy", ["auto", "ddp", {"class_path": "lightning.pytorch.strategies.DDPStrategy"}])
def test_other_strategies_are_not(strategy):
    refuse_sharded(strategy)
