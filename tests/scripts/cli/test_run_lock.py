import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from filelock import FileLock
from lightning.pytorch import Callback

from litzoo.scripts.cli.errors import explain
from litzoo.scripts.cli.run_folder import LOCK, lock_run_folder
from tests.counted import count
from tests.scripts.helpers import litzoo, short_fit


class ResumesItself(Callback):
    """Starts a second training of the same run in the second epoch of the first."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            with pytest.raises(BlockingIOError) as refused:
                short_fit("--ckpt_path=last")
            Path("refused.txt").write_text("\n".join(explain(refused.value)))


def test_a_run_is_trained_once_at_a_time():
    cli = short_fit("--trainer.max_epochs=2", "--trainer.callbacks+=tests.scripts.cli.test_run_lock.ResumesItself")
    assert cli.trainer.current_epoch == 2
    message = Path("refused.txt").read_text()
    assert "runs/digits_mlp/version_0 is being trained by another process; wait until it has ended" in message
    count("inputs refused")
    Path(cli.run_folder, ".left.1.partial").touch()
    litzoo("validate", "--config", str(cli.run_folder / "config.yaml"))  # does not ask for the folder
    assert Path(cli.run_folder, ".left.1.partial").exists()
    assert short_fit("--ckpt_path=last", "--trainer.max_epochs=3").trainer.current_epoch == 3
    assert not Path(cli.run_folder, ".left.1.partial").exists()


def test_a_refusal_keeps_the_lock_of_the_one_that_has_it(tmp_path):
    with lock_run_folder(tmp_path):
        for _ in range(2):
            with pytest.raises(BlockingIOError), lock_run_folder(tmp_path):
                pass
    with lock_run_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_training_runs_without_a_lock_where_the_file_system_has_none(tmp_path, number, monkeypatch):
    monkeypatch.setattr(FileLock, "acquire", Mock(side_effect=OSError(number, "no locks")))
    done = []
    with lock_run_folder(tmp_path):
        done.append(True)
    assert done


def test_other_processes_of_a_run_take_no_lock(tmp_path, monkeypatch):
    with lock_run_folder(tmp_path):
        monkeypatch.setattr("litzoo.scripts.cli.run_folder.is_first_process", lambda: False)
        with lock_run_folder(tmp_path):
            assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        monkeypatch.undo()


def train_with_a_worker(folder, told):
    with lock_run_folder(folder):
        if worker := os.fork():
            told.send(worker)
        time.sleep(60)
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_worker_that_outlives_a_killed_training_does_not_keep_the_lock(tmp_path):
    processes = multiprocessing.get_context("forkserver")
    ours, theirs = processes.Pipe()
    training = processes.Process(target=train_with_a_worker, args=(tmp_path, theirs))
    training.start()
    worker = ours.recv()
    try:
        with pytest.raises(BlockingIOError), lock_run_folder(tmp_path):
            pass
        training.kill()
        training.join()
        os.kill(worker, 0)  # still runs
        with lock_run_folder(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
