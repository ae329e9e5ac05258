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


@pytest.mark.parametrize(("first", "waits"), [(True, []), (False, [3 * failures.WAIT])])
def test_others_wait_for_the_first_process_to_tell_it(first, waits, monkeypatch, capsys):
    waited = []
    monkeypatch.setattr(failures, "is_first_process", lambda: first)
    monkeypatch.setattr(failures.time, "sleep", waited.append)
    failures.tell(ValueError("a reason"))
    assert waited == waits
    assert capsys.readouterr().err.count("litzoo: error: a reason") == 1
