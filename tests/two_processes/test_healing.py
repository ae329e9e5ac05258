"""A training of two processes that are killed goes on without a person, and ends like an unbroken one."""

import json
import random

import pytest
import torch

from tests.callbacks.kills import differences
from tests.counted import count
from tests.two_processes.healing import train_as_slurm_does, train_with_own_launcher, train_with_torchrun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each start takes ten seconds, and more on a busy machine

FIRST_EPOCH = "1 on_train_batch_start 0 2"
WITHIN_EPOCH = "0 on_train_batch_start 1 3"
BEFORE_LAST_CHECKPOINT = "0 on_save_checkpoint 1 1"
"""The second checkpoint of the second epoch, `last.ckpt`; `best.ckpt` is there."""
IN_TEST = "1 on_test_batch_start 3 0"
AFTER_TEST = "1 teardown 3 1"
"""The second teardown, after that of the training; the first process may have recorded the end by then, or not."""
AFTER_ALL = "0 exit"
"""When the run is recorded as finished. Not together with others: one killed a moment before ends this process too."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The run folder of a training that nobody kills."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = train_with_torchrun(folder, [])
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs" / "digits_mlp").iterdir()  # one model, though the number of devices is not given
    assert json.loads((run / "run.json").read_text())["processes"] == 2
    return run


def check(run, unbroken):
    """A run ends with the metrics and weights of the unbroken one, to the bit."""
    metrics = [json.loads((each / "metrics.json").read_text()) for each in (run, unbroken)]
    assert metrics[0] == metrics[1]
    assert any(name.startswith("test/") for name in metrics[0])
    for name in ("best.ckpt", "last.ckpt"):
        weights = [torch.load(each / "checkpoints" / name, weights_only=True)["state_dict"] for each in (run, unbroken)]
        assert differences(*weights) == []
    assert json.loads((run / "run.json").read_text())["finished"]


@pytest.mark.parametrize(
    "moments",
    [["1 start", FIRST_EPOCH, WITHIN_EPOCH], [BEFORE_LAST_CHECKPOINT, IN_TEST, AFTER_TEST], [AFTER_ALL]],
    ids=["before and within epochs", "at their end", "when all is done"],
)
def test_torchrun_restarts_killed_workers_which_end_with_the_same_digits(moments, unbroken, tmp_path):
    expected = set(moments)
    if AFTER_ALL not in moments:
        moments = [*moments, f"{random.Random().randrange(2)} after {random.Random().uniform(0, 8):.2f}"]
    done = train_with_torchrun(tmp_path, moments)
    assert done.returncode == 0, (moments, done.stderr)
    killed = {path.name.removeprefix("killed ") for path in tmp_path.glob("killed *")}
    assert killed >= expected
    runs = sorted((tmp_path / "runs" / "digits_mlp").iterdir())
    check(runs[-1], unbroken)
    assert not any([*(run / "checkpoints").glob("*.ckpt")] for run in runs[:-1])  # killed before their first checkpoint
    if AFTER_ALL in moments:
        assert "finished before the restart; there is nothing left to do" in done.stderr
    count("processes killed", len(killed))


def test_sigterm_to_the_launcher_saves_what_the_same_command_resumes(unbroken, tmp_path):
    moments = ["launcher 0 on_train_batch_start 1 3"]
    status, printed = train_with_own_launcher(moments)
    assert status == 143, printed
    assert "ended by SIGTERM; the same command resumes after the last checkpoint" in printed
    (run,) = (tmp_path / "runs" / "digits_mlp").iterdir()
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["loops"]["fit_loop"]
    assert saved["epoch_progress"]["current"]["started"] == 2
    assert saved["epoch_loop.batch_progress"]["current"]["processed"] > 3
    status, printed = train_with_own_launcher(moments)
    assert status == 0, printed
    check(run, unbroken)
    count("processes killed", 2)


def test_the_same_command_again_ends_with_the_same_digits(unbroken, tmp_path):
    status, printed = train_with_own_launcher([WITHIN_EPOCH])
    assert status == 137, printed
    assert "rank 0 of 2 failed: Signal 9" in printed
    assert "the same command resumes after the last checkpoint" in printed
    status, printed = train_with_own_launcher([WITHIN_EPOCH])
    assert status == 0, printed
    (run,) = (tmp_path / "runs" / "digits_mlp").iterdir()
    check(run, unbroken)
    count("processes killed")


def test_a_requeued_slurm_job_ends_with_the_same_digits(unbroken, tmp_path):
    moments = [WITHIN_EPOCH, IN_TEST]
    for _ in moments:
        assert train_as_slurm_does(moments) == [-9, -9]
    assert train_as_slurm_does(moments) == [0, 0]
    (run,) = (tmp_path / "runs" / "digits_mlp").iterdir()
    check(run, unbroken)
    count("processes killed", len(moments))
