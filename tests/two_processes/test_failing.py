import shlex
import signal

import pytest

from tests.counted import count
from tests.two_processes.failing import REASON, command, end_of, train
from tests.two_processes.processes import PROCESSES

pytestmark = pytest.mark.slow

FAILS = "--trainer.callbacks+=tests.two_processes.failing.Fails"
RUN = "runs/digits_mlp/version_0"
ENDED = "litzoo: ended by SIGTERM; no epoch was finished, so there is no checkpoint to resume from"


def check(ended, reason):
    """All processes have ended, with an exit code that says so and one message."""
    assert 0 not in ended.codes
    assert None not in ended.codes
    assert ended.stderr.count(reason) == 1, ended.stderr
    assert ended.stderr.count("litzoo: ") == 1, ended.stderr
    assert "gloo/" not in ended.stderr
    assert "Traceback" not in ended.stderr
    count("processes tried", PROCESSES)


@pytest.mark.parametrize(
    ("launcher", "failure", "reason"),
    [
        ("torchrun", ("raise", 0), f"\nlitzoo: error: {REASON}"),
        ("slurm", ("raise", 1), f"\n[rank 1] litzoo: error: {REASON}"),
        ("torchrun", ("nan", 1), "not finite at step 2"),
        ("torchrun", ("refuse", None), f"\nlitzoo: error: {REASON}"),
        ("torchrun", ("raise", 0, True), f"\nlitzoo: error: {REASON}"),
    ],
)
def test_an_error_is_reported_once_for_all_processes(launcher, failure, reason, tmp_path):
    ended = end_of(train, *failure, folder=tmp_path, launcher=launcher)
    # torchrun and SLURM end the others with SIGTERM; a first process that is ended so says how to resume, once.
    error = ended.stderr.replace(ENDED, "", 1)
    check(ended._replace(stderr=error), reason)


def test_the_first_process_says_how_to_resume_when_torchrun_ends_it_after_another(tmp_path):
    ended = end_of(train, "raise", 1, True, folder=tmp_path, launcher="torchrun")
    assert ended.codes == [143, 1]
    error, end = [line for line in ended.stderr.splitlines() if "litzoo: " in line]
    assert error == f"[rank 1] litzoo: error: {REASON}"
    assert end == ENDED


@pytest.mark.parametrize(
    ("how", "launcher", "reason", "code"),
    [
        ("SIGKILL", False, "error: rank 0 of 2 failed: Signal 9 (SIGKILL) received by PID", 137),
        ("SIGTERM", True, "ended by SIGTERM", 143),
        ("SIGINT", True, "ended by Ctrl-C", 130),
        ("SIGKILL", True, "error: the launcher, process ", -signal.SIGKILL),
    ],
    ids=["kill -9 of the first process", "SIGTERM", "Ctrl-C", "kill -9 of the launcher"],
)
def test_what_ends_one_process_ends_all_and_says_how_to_resume(how, launcher, reason, code, tmp_path):
    options = [f"--trainer.callbacks.how={how}", f"--trainer.callbacks.launcher={launcher}"]
    ended = end_of(
        command,
        FAILS,
        *options,
        "--trainer.callbacks.rank=0",
        "--trainer.callbacks.epoch=1",
        "--trainer.callbacks.hang=true",
        folder=tmp_path,
    )
    check(ended, reason)
    assert ended.codes == [code]
    assert "resume from its last checkpoint with\n" in ended.stderr
    (resume,) = [line for line in ended.stderr.splitlines() if line.startswith("litzoo fit ")]
    assert shlex.split(resume)[-2:] == ["--ckpt_path", f"{RUN}/checkpoints/last.ckpt"]
    assert not (tmp_path / RUN / "metrics.json").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_all_end_when_one_is_killed_before_they_know_each_other(rank, tmp_path):
    killed = ["--trainer.callbacks+=tests.two_processes.failing.KilledEarly", f"--trainer.callbacks.rank={rank}"]
    ended = end_of(command, *killed, folder=tmp_path)
    check(ended, f"error: rank {rank} of 2 failed: Signal 9 (SIGKILL) received by PID")
    assert f"failed (exitcode: -9) local_rank: {rank}" in ended.stderr
    assert ended.codes == [137]
    assert not (tmp_path / "runs").exists()


def test_an_error_of_the_command_is_reported_once_and_leaves_no_run_without_an_epoch(tmp_path):
    ended = end_of(command, FAILS, "--trainer.callbacks.how=raise", "--trainer.callbacks.rank=1", folder=tmp_path)
    check(ended, f"\n[rank 1] litzoo: error: {REASON}")
    assert ended.codes == [1]
    assert not (tmp_path / "runs").exists()


def test_an_option_that_every_process_refuses_is_reported_once(tmp_path):
    check(end_of(command, "--data.batch_size=0", folder=tmp_path), "data.batch_size: 0")
