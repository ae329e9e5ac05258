import errno
import fcntl
import os
import signal
from pathlib import Path
from unittest.mock import patch

import pytest
from lightning.pytorch import Callback

from litzoo.scripts.cli.errors import explain
from litzoo.scripts.cli.run_folder import alone_in
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
    with alone_in(tmp_path):
        for _ in range(2):
            with pytest.raises(BlockingIOError), alone_in(tmp_path):
                pass
    with alone_in(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_where_the_file_system_knows_no_locks_training_goes_on(tmp_path, number):
    done = []
    with patch.object(fcntl, "flock", side_effect=OSError(number, "no locks")), alone_in(tmp_path):
        done.append(True)
    assert done


def test_processes_that_follow_the_first_one_ask_for_nothing(tmp_path):
    with alone_in(tmp_path), patch("litzoo.scripts.cli.run_folder.is_first_process", lambda: False), alone_in(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_that_outlives_its_parent_does_not_keep_the_folder(tmp_path):
    heard, said = os.pipe()
    with alone_in(tmp_path):
        if not (child := os.fork()):
            os.write(said, b"forked")
            signal.pause()
            os._exit(0)
        os.read(heard, 6)
    try:
        with alone_in(tmp_path):
            os.kill(child, 0)  # is there still
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
