import signal

import pytest

from litzoo.scripts.cli import failures
from litzoo.scripts.cli.failures import report_errors
from tests.callbacks.scripted import Scripted
from tests.training import cpu_trainer
from tests.two_processes.failing import Fails


def test_sigterm_ends_a_single_process_with_the_exit_code_of_a_shell(capsys):
    trainer = cpu_trainer(callbacks=[Fails("SIGTERM")])
    with pytest.raises(SystemExit) as ended:
        report_errors(lambda: trainer.fit(Scripted()))
    assert ended.value.code == 143
    assert trainer.global_step == 3  # the step is finished
    assert capsys.readouterr().err.count("litzoo: ended by SIGTERM") == 1


@pytest.mark.parametrize(
    ("rank", "error", "waits"),
    [
        (0, ValueError("a reason"), False),
        (1, ValueError("a reason"), True),
        (0, RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer: a reason"), True),
    ],
    ids=["first process", "another process", "follows from another process"],
)
def test_an_error_that_another_process_most_likely_reports_waits(rank, error, waits, monkeypatch, capsys):
    waited = []
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(failures.rank_zero_only, "rank", rank)
    monkeypatch.setattr(failures.time, "sleep", waited.append)
    try:
        failures.report(error)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert waited == waits * [failures.SECONDS_TO_WAIT]
    printed = capsys.readouterr().err
    assert printed.count("a reason") == 1
    assert ("[rank 1] litzoo: error: a reason" in printed) == bool(rank)
