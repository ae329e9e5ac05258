"""Starts the processes of a run on this machine with torchrun's launcher, and reports how they end."""

import logging
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from litzoo.scripts.cli.failures import Ended, how_to_resume, signal_name
from litzoo.scripts.cli.run_folder import LAUNCHER, PARENT, RUN_FOLDER, is_first_process, is_launched
from litzoo.scripts.cli.workers import refuse_sharded

PROCESSES_PER_CORE = 4
"""Most processes on a CPU core; more than one each only makes sense for a trial."""
OTHER_START_METHODS = ("spawn", "fork", "notebook")
"""Strategies and start methods with these in their names start their processes from Python."""
REPORTED = (1, 2)
"""Exit statuses of a process that has reported its error itself."""


def trainer_to_launch(options: Namespace) -> Trainer | None:
    """Returns a bare trainer with as many devices and nodes as asked for, if its processes have yet to be started.

    `None` for a single process, for one that a launcher such as torchrun or SLURM has started, and for strategies that
    start processes in another way.

    Args:
        options: Those of the trainer, parsed but not instantiated.

    Raises:
        ValueError: If there are too many processes, or nodes that cannot find each other.
    """
    strategy = options.strategy
    refuse_sharded(strategy)
    start_method = strategy if isinstance(strategy, str) else strategy.get("init_args", {}).get("start_method", "")
    if any(word in str(start_method) for word in OTHER_START_METHODS):
        return None
    names = ("accelerator", "devices", "num_nodes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the real trainer warns and logs the same
        logging.disable(logging.INFO)
        try:
            trainer = Trainer(
                **{name: options[name] for name in names},
                strategy=strategy if isinstance(strategy, str) else "auto",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
        finally:
            logging.disable(logging.NOTSET)
    check_processes(trainer)
    environment = getattr(trainer.strategy, "cluster_environment", None)
    is_local = isinstance(environment, LightningEnvironment) and not environment.creates_processes_externally
    return trainer if is_local and trainer.num_devices * trainer.num_nodes > 1 else None


def check_processes(trainer: Trainer) -> None:
    """Refuses more processes than the machine bears, and nodes that cannot find each other and would wait forever.

    Raises:
        ValueError: The message names the option, its value, and the remedy.
    """
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > PROCESSES_PER_CORE * cores:
        raise ValueError(
            f"--trainer.devices: {trainer.num_devices} processes on a CPU with {cores} cores; give at most "
            f"{PROCESSES_PER_CORE * cores}, each takes about 1 GB of memory"
        )
    is_alone = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    if is_alone and trainer.num_nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        raise ValueError(
            f"--trainer.num_nodes: {trainer.num_nodes}, but nothing says where the others are; start it on each node "
            "with torchrun or through SLURM, or set MASTER_ADDR, MASTER_PORT and NODE_RANK"
        )


def launch(arguments: Sequence[str], trainer: Trainer, run_folder: Path | None) -> NoReturn:
    """Runs this command again in as many processes as the trainer has devices, and exits when they have ended.

    When one of them fails or is killed, all are ended. Its exit status, 128 + the number for a signal, becomes that of
    this process.

    Args:
        arguments: Of the command line.
        trainer: See `trainer_to_launch`.
        run_folder: Of a training, which can be resumed; `None` for other sub-commands.

    Raises:
        Ended: If a process was killed, or this one was told to end; the message says how to resume.
        SystemExit: When all processes have ended; those that failed have reported why.
    """
    os.environ[LAUNCHER] = str(os.getpid())
    program = [sys.argv[0]] if Path(sys.argv[0]).is_file() else ["-m", "litzoo"]
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=trainer.num_nodes,
            max_nodes=trainer.num_nodes,
            nproc_per_node=trainer.num_devices,
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
            **_rendezvous(trainer.num_nodes),
        )
        try:
            elastic_launch(config, sys.executable)(*program, *arguments)
        except SignalException as ended:
            reason, status = f"ended by {signal_name(ended.sigval)}", 128 + ended.sigval
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode in REPORTED:
                sys.exit(failure.exitcode)
            reason = f"error: rank {rank} of {trainer.num_devices * trainer.num_nodes} failed: {_cause(failure)}"
            status = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        else:
            sys.exit(0)
    raise Ended(status, reason if run_folder is None else f"{reason}; {how_to_resume(arguments, run_folder)}")


def _rendezvous(nodes: int) -> dict[str, Any]:
    """Returns how the launchers of all nodes meet: as those of `torchrun --standalone`, or of torchrun's defaults."""
    if nodes == 1:
        endpoint = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "127.0.0.1"}
        return {**endpoint, "run_id": str(uuid.uuid4())}
    environment = LightningEnvironment()
    return {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{environment.main_address}:{environment.main_port}",
        "rdzv_configs": {"rank": environment.node_rank()},
        "run_id": "none",
    }


def _cause(failure: ProcessFailure) -> str:
    if failure.exitcode > 0:
        return f"exit status {failure.exitcode}"
    hint = " (out of memory? lower data.batch_size)" if -failure.exitcode == signal.SIGKILL else ""
    return f"{failure.message}{hint}"


def end_with_launcher() -> None:
    """Watches, in a process that a launcher has started, whether the launcher still runs; it may be killed."""
    if is_launched() or os.environ.get(PARENT) == str(os.getppid()):
        threading.Thread(target=_wait_for_end, args=[os.getppid()], daemon=True).start()


def _wait_for_end(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(1)
    if is_first_process():
        resume = f"; {how_to_resume(sys.argv[1:], Path(folder))}" if (folder := os.environ.get(RUN_FOLDER)) else ""
        print(f"\nlitzoo: error: the launcher, process {launcher}, was killed{resume}", file=sys.stderr, flush=True)
    os._exit(1)
