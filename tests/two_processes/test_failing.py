import signal

import pytest

from tests.counted import count
from tests.two_processes.failing import REASON, command, end_of, train
from tests.two_processes.processes import PROCESSES

pytestmark = pytest.mark.slow

LOST = {0: "process 0 of 2 ended without a word", 1: "process 1 of 2 ended without a word"}
FAILING = "--trainer.callbacks+=tests.two_processes.failing.Fails"


def check(ended, reason):
    """All processes have ended, with an exit code that says so and one reason."""
    assert 0 not in ended.codes
    assert None not in ended.codes
    assert ended.said.count(reason) == 1
    assert ended.said.count("litzoo: ") == 1
    assert "gloo/" not in ended.said
    assert "Traceback" not in ended.said
    count("processes tried", PROCESSES)


@pytest.mark.parametrize(
    ("by", "how", "rank", "reason"),
    [
        ("torchrun", "raise", 0, REASON),
        ("trainer", "raise", 1, REASON),
        ("slurm", "raise", 1, REASON),
        ("torchrun", "nan", 1, "not finite at step 2"),
        ("trainer", "refuse", 1, REASON),
        ("torchrun", "refuse", None, REASON),
        ("torchrun", "SIGKILL", 0, LOST[0]),
        ("torchrun", "SIGKILL", 1, LOST[1]),
        ("trainer", "SIGKILL", 0, LOST[0]),
        ("trainer", "SIGKILL", 1, "process 1 of 2 was ended by SIGKILL"),
        ("trainer", "SIGTERM", 0, "ended by SIGTERM"),
        ("torchrun", "SIGTERM", 1, "ended by SIGTERM"),
        ("trainer", "SIGINT", 0, "ended by Ctrl-C"),
    ],
)
def test_what_ends_one_process_ends_both_and_is_told_once(by, how, rank, reason, tmp_path):
    ended = end_of(train, how, rank, folder=tmp_path, by=by)
    check(ended, reason)
    if by == "trainer" and how in ("SIGTERM", "SIGINT"):
        assert ended.codes == [128 + getattr(signal, how)]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_hears_of_no_exception_is_ended_too(rank, tmp_path):
    check(end_of(train, "raise", rank, True, folder=tmp_path, by="torchrun"), REASON)


def test_the_command_tells_once_and_leaves_no_run_without_an_epoch(tmp_path):
    failing = [FAILING, "--trainer.callbacks.how=raise", "--trainer.callbacks.rank=1"]
    check(end_of(command, *failing, folder=tmp_path, by="trainer"), REASON)
    assert not (tmp_path / "runs" / "digits_mlp").exists()


@pytest.mark.parametrize(("rank", "reason"), [(0, LOST[0]), (1, "process 1 of 2 was ended by SIGKILL")])
def test_none_waits_for_one_that_dies_before_they_know_each_other(rank, reason, tmp_path):
    killed = ["--trainer.callbacks+=tests.two_processes.failing.KillsEarly", f"--trainer.callbacks.rank={rank}"]
    ended = end_of(command, *killed, folder=tmp_path, by="trainer")
    check(ended, reason)
    assert ended.codes == [1 if rank else -signal.SIGKILL]
    assert (tmp_path / "runs" / "digits_mlp").exists() != bool(rank)


def test_what_is_wrong_before_the_processes_know_each_other_is_told_once(tmp_path):
    check(end_of(command, "--data.batch_size=0", folder=tmp_path, by="strict"), "data.batch_size: 0")
