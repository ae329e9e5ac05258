import json
import sys
from pathlib import Path

import pytest

from litzoo.scripts.benchmarks import kill_and_resume, killed_training
from litzoo.scripts.benchmarks.kill_and_resume import measure, table
from litzoo.scripts.benchmarks.killed_training import KilledTraining, Moment, Position, draw_moments, read_positions
from tests.counted import count
from tests.scripts.helpers import MLP

DIGITS = [*MLP, "--trainer.max_epochs=5", "--trainer.limit_train_batches=5", "--trainer.accelerator=cpu"]
DIGITS += ["--test_after_fit=false", "--trainer.callbacks+=tests.scripts.helpers.Dawdles"]


@pytest.mark.slow
def test_a_training_killed_twice_ends_with_the_same_bits():
    result = measure(DIGITS, kills=2, seed=13)
    assert result["equal"]
    assert len(result["kills"]) == 2
    assert result["metrics"][0]["val/acc"] == result["metrics"][1]["val/acc"]
    count("kills survived", 2)


def test_moments_are_drawn_between_the_first_checkpoint_and_the_end():
    positions = [
        Position(10 + epoch + fraction / 100, epoch, f"{fraction} %") for epoch in range(4) for fraction in (0, 50)
    ]
    positions += [Position(14.0, 4, "end"), Position(14.5, 4, "test"), Position(16.0, 4, "tested")]
    drawn = draw_moments(positions, count=500, seed=0)
    times = [moment.position.time + moment.seconds for moment in drawn]
    assert times == sorted(times)
    assert all(11.0 <= time <= 16.0 for time in times)
    assert all(moment.seconds <= 0.5 or moment.position.stage == "test" for moment in drawn)
    assert all(sum(moment.position.epoch == epoch for moment in drawn) > 60 for epoch in (1, 2, 3))
    assert sum(moment.position.epoch == 4 for moment in drawn) > 120  # lasts twice as long
    assert draw_moments(positions, 5, seed=1) == draw_moments(positions, 5, seed=1)
    assert draw_moments(positions, 5, seed=1) != draw_moments(positions, 5, seed=2)


def test_positions_of_a_killed_process_are_read_up_to_the_last_complete_line():
    Path("positions.txt").write_text("1.5 0 50 %\n2.5 1 validation\n3.5 1 chec")
    assert read_positions(Path("positions.txt")) == [Position(1.5, 0, "50 %"), Position(2.5, 1, "validation")]
    assert read_positions(Path("positions.txt"), start=11) == [Position(2.5, 1, "validation")]
    assert read_positions(Path("none.txt")) == []


def test_a_moment_counts_from_when_its_position_or_a_later_epoch_is_first_reached():
    moment = Moment(Position(9.0, 2, "validation"), 0.1)
    positions = [
        Position(1.0, 1, "validation"),
        Position(2.0, 2, "0 %"),
        Position(3.0, 2, "validation"),
        Position(4.0, 3, "0 %"),
    ]
    assert [moment.reached(positions[:seen]) for seen in range(5)] == [None, None, None, 3.0, 3.0]
    assert moment.reached(positions[3:]) == 4.0  # resumed after the epoch


STAND_IN = """
import sys, time
from pathlib import Path
import json
positions = Path(json.loads(sys.argv[-1])["init_args"]["path"])
print(*sys.argv, sep=" ", file=positions.with_name("calls.txt").open("a"))
(positions.parent / "run" / "version_0" / "checkpoints").mkdir(parents=True, exist_ok=True)
for epoch in range(3):
    print(time.time(), epoch, "0 %", file=positions.open("a"))
    time.sleep(0.2)
sys.exit({status})
"""


def at(epoch, seconds):
    return Moment(Position(0.0, epoch, "0 %"), seconds)


@pytest.mark.parametrize(("until", "epoch"), [(at(1, 0.05), 1), (at(1, 0.3), 2), (at(5, 0.0), None), (None, None)])
def test_a_process_is_killed_at_its_moment_or_ends_by_itself(until, epoch, monkeypatch):
    """The stand-in trains nothing, and logs an epoch every fifth of a second."""
    Path("stand_in.py").write_text(STAND_IN.replace("{status}", "0"))
    monkeypatch.setattr(killed_training, "LITZOO", [sys.executable, "stand_in.py"])
    training = KilledTraining(Path.cwd(), [])
    position = training.run(until)
    assert (position and position.epoch) == epoch


@pytest.mark.parametrize(("end", "status"), [("sys.exit(1)", 1), ("os.kill(os.getpid(), 9)", -9)])
def test_the_error_of_a_failed_training_is_raised(end, status, monkeypatch):
    Path("stand_in.py").write_text(f"import os, sys\nprint('no such thing', flush=True)\n{end}")
    monkeypatch.setattr(killed_training, "LITZOO", [sys.executable, "stand_in.py"])
    with pytest.raises(RuntimeError, match=rf"exit status {status}\):\nno such thing"):
        KilledTraining(Path.cwd(), []).run()


def test_the_table_is_written_between_its_marks(monkeypatch, capsys):
    metrics = [{"epoch": 1, "val/acc": 0.5}] * 2
    calls = []

    def measured(options, kills, seed):
        calls.append((options, kills, seed))
        return {"kills": ["epoch 1, 40 %"], "metrics": metrics, "equal": True}

    Path("docs").mkdir()
    Path("docs/reliability.md").write_text("before\n<!-- kill_and_resume -->\nold\n<!-- /kill_and_resume -->\nafter\n")
    monkeypatch.setattr(kill_and_resume, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["", "--config", "configs/a.yaml", "--epochs", "3", "--kills", "1", "--write"])
    kill_and_resume.main()
    written = Path("docs/reliability.md").read_text()
    assert capsys.readouterr().out.strip() in written
    assert "`a`, 3 epochs" in written
    assert "old" not in written
    assert json.loads(Path("docs/results/kill_and_resume.json").read_text())["metrics"] == metrics
    options = ["--config", "configs/a.yaml", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]
    assert calls == [(options, 1, 0)]


def test_the_table_shows_the_positions_of_the_kills_and_whether_all_is_equal():
    result = {
        **{"hardware": "a CPU", "torch": "2.9", "threads": 1, "date": "2026-01-01", "config": "digits", "epochs": 3},
        "kills": ["epoch 1, 40 %", "epoch 2, validation"],
        "metrics": [{"epoch": 2, "val/acc": 0.5, "train/acc": 0.1}, {"epoch": 2, "val/acc": 0.25, "train/acc": 0.1}],
        "equal": False,
    }
    text = table(result)
    assert "| `val/acc` | 0.5 | 0.25 |" in text
    assert "killed 2 times |" in text
    assert "epoch 1, 40 %; epoch 2, validation." in text
    assert "**not equal**" in text
    assert "bit-identical" in table({**result, "equal": True})
