"""Runs of a comparison are forked off one process, and know nothing of each other."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from litzoo.scripts.compare.command import compare
from litzoo.scripts.compare.queue import locked, shared, slot_environment
from litzoo.scripts.compare.worker import LITZOO, start
from tests.callbacks.kills import differences

COMMON = "--trainer.max_epochs=2 --trainer.accelerator=cpu --data.train_size=200 --model.hidden=[16]"
SPOILS = "--trainer.callbacks+=tests.scripts.compare.test_compare_worker.Spoils"


class Spoils(Callback):
    """Changes what later runs in the same process would find, or ends this process, at the start of training."""

    def __init__(self, end: str | None = None) -> None:
        self.end = end

    def on_train_start(self, *_):
        if self.end:
            os.kill(os.getpid(), getattr(signal, self.end))
        torch.set_num_threads(3)
        torch.use_deterministic_algorithms(True)
        torch.set_default_dtype(torch.float64)
        os.environ["PL_GLOBAL_SEED"] = "99"


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def finished():
    """Returns the metrics, and the weights of both checkpoints, of the last run."""
    (folder,) = Path("runs/compare_it/gce/seed_7").glob("version_*")
    weights = {
        name: torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("best", "last")
    }
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("metrics", "metrics_last")], weights


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_have_the_digits_of_separate_processes_and_survive_one_that_dies(capsys):
    variants = [
        f"spoiled: {SPOILS}",
        f"killed: {SPOILS} --trainer.callbacks.end=SIGKILL",
        "gce: --model.loss=GeneralizedCrossEntropy --model.dropout=0.5",
    ]
    words = [word for variant in variants for word in ("--variant", variant)]
    with pytest.raises(SystemExit):
        compare(["digits_mlp", "--seeds", "7", "--name", "it", f"--common={COMMON}", *words])
    printed = capsys.readouterr()
    assert "1 of 3 runs failed: killed, seed 7" in printed.err
    assert "killed, seed 7: failed (exit status -9)" in printed.out
    together, folder = finished(), Path("runs/compare_it/gce/seed_7")
    log = (folder / "log.txt").read_text()
    assert "Traceback" not in log
    folder.rename("together")
    for command in [line[len("$ litzoo ") :] for line in log.splitlines() if line.startswith("$ litzoo ")]:
        line = f"{sys.executable} -m litzoo {command}"
        subprocess.run(line, shell=True, env=slot_environment(0, 1), check=True, capture_output=True)
    assert differences(finished(), together) == []


def log_of(words, environment, program=LITZOO):
    """Runs a command, and returns its status and what it has printed."""
    with Path("lock").open("w") as lock:
        process = start(program, words, environment, Path("log.txt"), [lock.fileno()])
        process.join()
    return process.exitcode, Path("log.txt").read_text()


def test_another_environment_that_is_read_while_importing_gets_a_new_python():
    environment = dict(os.environ)
    assert log_of(["--version"], environment | {"LITZOO_DATA_DIR": "elsewhere"}) == (0, "litzoo 0.2.0\n")
    status, log = log_of(["--version"], environment | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert status == 0
    assert "import time:" in log


def test_the_status_is_that_of_the_command():
    assert log_of(["no-such-command"], dict(os.environ))[0] == 1
    status, _ = log_of([], dict(os.environ), [sys.executable, "-c", "import os; os.abort()"])
    assert status == -signal.SIGABRT


def test_a_process_keeps_all_locks_that_it_is_given():
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    with Path("one").open("w") as one, Path("two").open("w") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.flock(two, fcntl.LOCK_SH)
        process = start(program, [], dict(os.environ), Path("log.txt"), [one.fileno(), two.fileno()])
        while is_forked(process.pid):
            assert process.exitcode is None
    for name in ("one", "two"):
        with Path(name).open("w") as again, pytest.raises(BlockingIOError):
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.kill()
    process.join()


def is_forked(number):
    """Whether a process has not replaced its program yet."""
    return b"time.sleep(600)" not in Path(f"/proc/{number}/cmdline").read_bytes()


@pytest.mark.parametrize("kind", [locked, shared])
def test_a_file_system_that_emulates_locks_by_records_is_accepted(kind, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fcntl.lockf)  # as NFS does: a shared one needs a file open for reading
    with kind(Path("folder")):
        assert Path("folder/.lock").exists()


def test_a_run_of_the_installed_script_warns_of_nothing():
    """Like the script that pip installs, this one imports `litzoo.__main__`, and the processes that it starts do."""
    Path("litzoo").write_text(
        "import os, pathlib\n"
        "from litzoo.__main__ import main\n"
        "from litzoo.scripts.compare.worker import LITZOO, start\n"
        "if __name__ == '__main__':\n"
        "    start(LITZOO, ['--version'], os.environ, pathlib.Path('log'), []).join()\n"
    )
    subprocess.run([sys.executable, "litzoo"], check=True)
    assert re.fullmatch(r"litzoo [0-9.]+\n", Path("log").read_text())
