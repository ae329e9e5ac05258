import json
import shlex
import signal
import sys
from pathlib import Path

import pytest

from litzoo.scripts.cli.failures import how_to_resume
from litzoo.scripts.cli.main import main
from tests.counted import count
from tests.scripts.helpers import MLP, QUIET, files_in, litzoo, undrawn_in

FIT = ["fit", *QUIET, *MLP, "--trainer.max_epochs=3", "--trainer.limit_train_batches=3", "--trainer.callbacks=[]"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The metrics of a training that nobody ends."""
    folder = tmp_path_factory.mktemp("unbroken")
    with undrawn_in(folder):
        return json.loads((litzoo(*FIT).run_folder / "metrics.json").read_text())


def run_as_a_command(words, monkeypatch, capsys):
    """Runs the command as from a terminal; returns its exit status, and what it prints at its end."""
    monkeypatch.setattr(sys, "argv", ["litzoo", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert (printed.out + printed.err).count("litzoo: ended by") == 1
    return ended.value.code, printed.err[printed.err.index("litzoo: ") :].strip().splitlines()


def signals(number, epoch):
    arguments = f"{{number: {number}, epoch: {epoch}}}"
    return f"--trainer.callbacks+={{class_path: tests.scripts.helpers.Signals, init_args: {arguments}}}"


@pytest.mark.parametrize(
    ("number", "epoch", "status", "name"),
    [
        (signal.SIGTERM, 0, 143, "SIGTERM"),
        (signal.SIGTERM, 2, 143, "SIGTERM"),
        (signal.SIGTERM, 3, 143, "SIGTERM"),
        (signal.SIGINT, 1, 130, "Ctrl-C"),
    ],
    ids=["SIGTERM in the first epoch", "SIGTERM in an epoch", "SIGTERM at the end of training", "Ctrl-C"],
)
def test_who_ends_a_training_is_told_how_to_resume(number, epoch, status, name, unbroken, monkeypatch, capsys):
    found, (line, command) = run_as_a_command([*FIT, signals(number, epoch)], monkeypatch, capsys)
    assert found == status
    assert line == f"litzoo: ended by {name}; resume from its last checkpoint with"
    words = shlex.split(command)
    assert words[-2:] == ["--ckpt_path", "runs/digits_mlp/version_0/checkpoints/last.ckpt"]

    monkeypatch.setattr(sys, "argv", words)
    main()
    folder = Path("runs/digits_mlp/version_0")
    assert json.loads((folder / "metrics.json").read_text()) == unbroken
    count("kills survived")


def test_an_interrupted_first_epoch_leaves_nothing_to_resume(monkeypatch, capsys):
    status, lines = run_as_a_command([*FIT, signals(signal.SIGINT, 0)], monkeypatch, capsys)
    assert (status, len(lines)) == (130, 1)
    assert "no epoch was finished, so there is no checkpoint to resume from" in lines[0]
    assert not files_in(Path("runs"))


@pytest.mark.parametrize(("name", "number"), [("SIGTERM", signal.SIGTERM), ("Ctrl-C", signal.SIGINT)])
@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_other_commands_exit_with_the_status_of_the_signal(command, name, number, trained, monkeypatch, capsys):
    looking = f"{{class_path: tests.scripts.helpers.SignalsWhileLooking, init_args: {{number: {number}}}}}"
    words = [command, *MLP, *QUIET, f"--trainer.callbacks+={looking}"]
    assert run_as_a_command(words, monkeypatch, capsys) == (128 + number, [f"litzoo: ended by {name}"])
    assert not (trained / "predictions.csv").exists()


@pytest.mark.parametrize("given", [["--ckpt_path", "last"], ["--ckpt_path=best"], []])
def test_the_command_that_resumes_names_one_checkpoint(given):
    last = Path("run folder/checkpoints/last.ckpt")
    last.parent.mkdir(parents=True)
    last.touch()
    command = how_to_resume(["fit", *given, "--experiment", "a b"], Path("run folder")).splitlines()[1]
    assert shlex.split(command) == ["litzoo", "fit", "--experiment", "a b", "--ckpt_path", str(last)]
