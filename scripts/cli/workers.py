"""The processes that torchrun or SLURM has started for one command: how many they are, and what the first decides."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from jsonargparse import Namespace
from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_warn

ALL = ("auto", -1, "-1")
"""Values of `--trainer.devices` that leave the number open."""
SHARDED = ("fsdp", "deepspeed", "modelparallel")
"""In the names of strategies of Lightning that give each process a part of the weights."""
_Decision = TypeVar("_Decision", bound=str | list[str | None] | None)
_stores: list[torch.distributed.Store] = []  # the first process serves them as long as they exist


class Workers(NamedTuple):
    """The processes of a command: who has started them, where Lightning learns of them, and how many there are."""

    launcher: str
    environment: ClusterEnvironment
    nodes: int
    per_node: int


def workers() -> Workers | None:
    """Returns the processes that torchrun, or SLURM's `srun`, has started; None if this process was not started so."""
    if TorchElasticEnvironment.detect():
        per_node = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // per_node
        return Workers("torchrun", TorchElasticEnvironment(), nodes, per_node)
    # A batch script without `srun` is a single process, but has the number of tasks of its job.
    if "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", 1))
        return Workers("srun", SLURMEnvironment(), nodes, int(os.environ["SLURM_NTASKS"]) // nodes)
    return None


def leave_group() -> None:
    """Ends the group of processes of a finished command; threads of gloo that still run can abort it at exit.

    Lightning does so for NCCL alone.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def meet_anew() -> None:
    """Gives the processes that torchrun has restarted a place to meet that those before them have not used.

    torchrun lets all of them use one store of addresses, where the new processes find the addresses of killed ones
    (pytorch issue 135712). On several machines they cannot agree on another place, but torchrun can.
    """
    variables, address = os.environ, os.environ.get("MASTER_ADDR", "")
    if not TorchElasticEnvironment.detect() or variables.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    if int(variables.get("GROUP_WORLD_SIZE", 1)) > 1:
        if int(variables.get("TORCHELASTIC_MAX_RESTARTS", 0)):
            rank_zero_warn(
                "torchrun --max-restarts on several machines: restarted processes look for killed ones; start it with "
                "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
            )
        return
    attempt, rank, size = (int(variables[name]) for name in ("TORCHELASTIC_RESTART_COUNT", "RANK", "WORLD_SIZE"))
    if not attempt:
        return
    shared = torch.distributed.TCPStore(address, int(variables["MASTER_PORT"]), is_master=False)
    if rank == 0:
        own = torch.distributed.TCPStore(address, 0, size, is_master=True, wait_for_workers=False, multi_tenant=True)
        _stores.append(own)
        shared.set(f"litzoo/port/{attempt}", str(own.port))
    port = shared.get(f"litzoo/port/{attempt}").decode()
    variables.update(MASTER_PORT=port, TORCHELASTIC_USE_AGENT_STORE="False")


def launch_id() -> str | None:
    """Identifies what has started this process, torchrun or a SLURM job; it stays the same when that restarts it."""
    if TorchElasticEnvironment.detect():
        # torchrun's default id is that of all launches; on one machine its folder for errors is new each time.
        alone = int(os.environ.get("GROUP_WORLD_SIZE", 1)) == 1
        folder = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", "")).parents[2:3] if alone else ()
        return " ".join(["torchrun", os.environ["TORCHELASTIC_RUN_ID"], *map(str, folder)])
    return f"SLURM job {job}" if (job := os.environ.get("SLURM_JOB_ID")) else None


def was_restarted() -> bool:
    """Whether torchrun, or SLURM by requeueing the job, has started this command before."""
    name = "TORCHELASTIC_RESTART_COUNT" if TorchElasticEnvironment.detect() else "SLURM_RESTART_COUNT"
    return int(os.environ.get(name, 0)) > 0


def settle_devices(trainer: Namespace) -> None:
    """Sets the number of devices and nodes that are left open to those of torchrun or SLURM.

    Lightning's default on a CPU is one device, whatever torchrun has started: each process would train a model of its
    own.

    Args:
        trainer: Options of the trainer, parsed but not instantiated.

    Raises:
        ValueError: If other numbers are asked for.
    """
    if (started := workers()) is None:
        return
    if trainer.devices in ALL:
        trainer.devices = started.per_node
    if trainer.num_nodes == 1:
        trainer.num_nodes = started.nodes
    if (_count(trainer.devices), trainer.num_nodes) != (started.per_node, started.nodes):
        raise ValueError(
            f"--trainer.devices {trainer.devices} and --trainer.num_nodes {trainer.num_nodes}: {started.launcher} has "
            f"started {started.per_node} processes on each of {started.nodes} nodes, which train one model together; "
            "leave both options out"
        )


def refuse_sharded(strategy: Any) -> None:
    """Refuses a strategy that gives each process a part of the weights.

    Args:
        strategy: Name, or class with options.

    Raises:
        ValueError: The message names the strategy.
    """
    name = str(strategy if isinstance(strategy, str) else strategy.get("class_path", "")).rsplit(".", 1)[-1]
    if any(word in name.lower().replace("_", "") for word in SHARDED):
        raise ValueError(
            f"--trainer.strategy: {name} shards the weights, but checkpoints and callbacks of litzoo need all of them "
            "in each process; use ddp"
        )


def decided_by_first(decide: Callable[[], _Decision]) -> _Decision:
    """Returns what the first of all processes of the command decides.

    The processes do not know each other yet: they meet at the address where Lightning will connect them.

    Args:
        decide: Called in the first process only.
    """
    if (started := workers()) is None or started.nodes * started.per_node == 1:
        return decide()
    environment = started.environment
    url = f"tcp://{environment.main_address}:{environment.main_port}"
    rank, size = environment.global_rank(), environment.world_size()
    store, *_ = next(torch.distributed.rendezvous(url, rank, size))
    _stores.append(store)
    if rank == 0:
        store.set("litzoo/decision", json.dumps(decide()))
    return json.loads(store.get("litzoo/decision"))


def _count(devices: Any) -> int:
    """Returns the number of devices that an option of the trainer asks for."""
    if isinstance(devices, str) and not devices.isdecimal():
        return len([each for each in devices.split(",") if each.strip()])
    return int(devices) if isinstance(devices, (int, str)) else len(devices)
